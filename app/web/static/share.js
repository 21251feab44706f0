// The system's share sheet, where there is one: a button with data-share, hidden until then, offers what it holds.
"use strict";

if (navigator.share) {
  for (const button of document.querySelectorAll("[data-share]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.share({ text: button.dataset.share });
      } catch {
        // Closed without choosing anybody, which is no error.
      }
    });
  }
}
