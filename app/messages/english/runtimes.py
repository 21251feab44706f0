"""What a runtime could not do: with local processes, or with Docker."""

TEMPLATES = {
    # How a run ended.
    "ended.memory": "it was killed: it used more than its {memory_mb} MB of memory",
    "ended.sigkill": "it was killed by SIGKILL (by hand, or by the kernel for want of memory)",
    "ended.signal": "it was killed by signal {signal}",
    "ended.exited": "it exited with code {exit_code}",
    "ended.stopped": "stopped",
    "ended.by_signal": "it was killed by {signal}",
    "ended.code_unknown": "it ended; its exit code is not known, as an earlier panel had started it",
    "ended.last_line": "{how}; its last line: {line}",
    "ended.no_memory_left": "it ran out of memory: {megabytes} MB are allowed (proxy_memory_mb); {how}",
    "ended.copied":
        "this folder is a copy: the process that it names (pid {pid}) works for another one and still runs; to end it: "
        "kill {pid}",
    "ended.copied_from":
        "this folder is a copy: the process that it names (pid {pid}) works for {folder} and still runs; to end it: "
        "kill {pid}",
    "ended.machine_restarted": "it ended when the machine was restarted",
    "ended.not_accepting": "it did not accept connections on {listen} and {metrics} within {seconds:.0f} s",
    "ended.no_record": "its record is missing",
    "docker.paused": "it was paused by hand (docker pause)",
    "docker.removed": "its container was removed",
    "docker.files_lost": "its container lacks {files}",
    "docker.cut_off": "it was cut off from the network {network}",
    # Why it could not begin.
    "docker.no_program":
        "the image {image} holds no proxy program: proxy_image must name an image that starts mtg, such as mtg-custom",
    "docker.disk_full":
        "the disk of the Docker engine is full: free some space (docker system df shows what takes it)",
    "docker.no_such_address": "the address in proxy_bind is not one of the machine that Docker runs on",
    "docker.start_refused": "Docker can't start it: {reason}",
    "docker.pull_slow": "it did not arrive within {seconds:.0f} s",
    "docker.image_no_tc": "its image holds no tc (iproute2); mtg-custom does",
    "docker.tc_failed": "tc ended with code {code}",
    "docker.image_no_nft": "its image holds no nft (nftables); mtg-custom does",
    "docker.nft_failed": "nft ended with code {code}",
    "scrape.no_answer": "{address} does not answer: {reason}",
    "scrape.status": "{address} answers {status} {reason}",
    "scrape.cut_short": "{address} answers with a text that is too long or cut short",
    # How a runtime does its work here.
    "process.as_root":
        "proxies run as root here, as the panel does: anyone who breaks into one controls the machine. Run the panel "
        "under an account of its own (ports from 1024 on), or with Docker: docs/docker.md",
    "docker.no_ifb":
        "users who are slowed down share one speed for both directions, and waiting data fills the memory of the "
        "proxy: this kernel has no ifb device (modprobe ifb loads it)",
    "runtime.no_address": "{name} does not run, so it can't be reached",
    "runtime.no_takeover": "{name} can't be taken over by a local process",
    "runtime.no_config": "{name}: its command must name {{config}}: by that argument the process is known again",
    "runtime.speed_not_running": "{name} is not running, so its speed can't be limited",
    "runtime.addresses_not_running": "{name} is not running, so its addresses can't be limited",
    "runtime.addresses_not_here": "the addresses of {name} are not limited: a local process has no network of its own",
    "runtime.not_started": "{name} can't be started: {reason}",
    "runtime.not_ended":
        "{name} (pid {pid}) is still there {seconds:.0f} s after it was killed: the kernel has not let go "
        "of it. Try again: kill -9 {pid}",
    "runtime.bind_here":
        "{bind!r} is no address to listen on: an IPv4 or IPv6 address of this machine is allowed, or "
        "nothing for all of them",
    "runtime.file_name": "{name}: {file!r} can't be the name of a workload's file",
    "runtime.not_laid_out": "{name} could not be laid out in {folder}: {reason}",
    "runtime.no_workload": "there is no workload {name} in {folder} that could be started",
    "runtime.no_live_files": "{name} has no live files {files} that could be changed",
    "runtime.log_unreadable": "the log of {name} could not be read: {reason}",
    "runtime.speed_unknown":
        "{name} can't be slowed down: {engine} as a local process has no speed limit; the built-in engine "
        "has",
    "runtime.speed_unwritten": "the speed limit of {name} could not be written: {reason}",
    "runtime.speed_unsaid":
        "{name} was told to keep to {wanted} bit/s (0 is no limit), but has not said within {seconds:.0f} s "
        "that it does",
    "runtime.folders_unreadable": "the proxies' folder can't be read: {reason}",
    "runtime.folder_unusable": "{name}: its folder in {folder} can't be used: {reason}",
    "runtime.start_failed": "{name} could not be started: {reason}",
    "runtime.foreign_process":
        "{name} (pid {pid}) belongs to another user of this machine and still runs. As that user or as "
        "root: kill {pid}",
    "runtime.speed_untold": "{name} does not tell its speed limit: {reason}",
    "runtime.workload_name":
        "{name!r} is no name for a workload: letters, digits, '-', '_' and '.' are allowed, at most 100, "
        "the first a letter or digit",
    "runtime.record_unreadable": "the record of {name} can't be read: {reason}",
    "docker.refuses": "Docker refuses: {reason}",
    "docker.replaced": "the Docker engine at {url} was replaced; trying again",
    "docker.no_service": "no {role} container runs in the network {network}",
    "docker.not_run": "{program} can't be run in the {role} container: {reason}",
    "docker.serves_nothing":
        "{name} was started, but serves neither clients nor metrics after {seconds:.0f} s; its last line: "
        "{line}",
    "docker.files_not_put": "{name}: its files could not be put into the container",
    "docker.name_taken":
        "the name {name} belongs to a container that this installation did not make: remove or rename it "
        "(docker rename), or let the panel take it over",
    "docker.no_container": "there is no container {name} of this installation that could be started",
    "docker.speed_other":
        "{name} was told to keep to {wanted} bit/s (0 is no limit), but the kernel keeps it to {in_force}",
    "docker.bind_there":
        "{bind!r} is no address to listen on: an IPv4 or IPv6 address of the machine that Docker runs on is "
        "allowed, or nothing for all",
    "docker.left_as_it_was": "{name} of the older installation was left as it was: {reason}",
    "docker.not_slowed": "{name} can't be slowed down: {reason}",
    "docker.no_tc": "{name} can't be slowed down: the image {image} holds no shell and no tc; mtg-custom does",
    "docker.addresses_not_limited":
        "the addresses of {name} are not limited, as nftables can't do it here (a kernel from 4.18 on can): {reason}",
    "docker.no_nft":
        "the addresses of {name} are not limited: the image {image} holds no shell and no nft; mtg-custom does",
    "docker.addresses_other":
        "{name} was to be used from {wanted} {wanted:address|addresses} at most (0 is any number), but the kernel "
        "keeps to {in_force}",
    "docker.forbidden":
        "the panel may not use the Docker engine at {url}: add its account to the group that owns the socket (usually "
        "docker; of the panel's container, by DOCKER_GID in .env)",
    "docker.missing":
        "there is no Docker engine at {url}: install and start Docker (systemctl start docker), or set DOCKER_HOST",
    "docker.stopped": "the Docker engine at {url} is not running: systemctl start docker",
    "docker.silent": "the Docker engine at {url} does not answer: systemctl status docker says why",
    "docker.no_answer": "the Docker engine at {url} does not answer ({reason}): systemctl status docker says why",
    "docker.image_missing":
        "the image {image} is not on this machine and can't be fetched: {reason}. Three ways out: set proxy_image to a "
        "registry that is reachable from here (a mirror); bring the image as a file (docker save {image} on another "
        "machine, docker load here); or run the built-in engine, which needs no image (MTPROTO_RUNTIME=process)",
    "runtime.program": "{name} can't be started: {program}: {reason}",
    "docker.ended": "{name} could not be started: it ended at once; {line}",
}
