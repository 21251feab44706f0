"""Who is told what, by which channel; and the operator's bot, which is actions over a chat."""
