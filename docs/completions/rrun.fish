# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rrun_global_optspecs
    string join \n debug log= log-format= root= systemd-cgroup rootless= v/version h/help
end

function __fish_rrun_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rrun_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rrun_using_subcommand
    set -l cmd (__fish_rrun_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rrun -n "__fish_rrun_needs_command" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_needs_command" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_needs_command" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_needs_command" -l rootless -d 'ignore cgroup permission errors (\'true\', \'false\', or \'auto\')' -r
complete -c rrun -n "__fish_rrun_needs_command" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_needs_command" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_needs_command" -s v -l version -d 'print the version'
complete -c rrun -n "__fish_rrun_needs_command" -s h -l help -d 'Print help'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "create" -d 'create a container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "start" -d 'executes the user defined process in a created container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "run" -d 'create and run a container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "exec" -d 'execute new process inside the container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "kill" -d 'kill sends the specified signal (default: SIGTERM) to the container\'s init process'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "delete" -d 'delete any resources held by the container often used with detached container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "state" -d 'output the state of a container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "list" -d 'lists containers started by rrun with the given root'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "ps" -d 'ps displays the processes running inside a container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "pause" -d 'pause suspends all processes inside the container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "resume" -d 'resumes all processes that have been previously paused'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "update" -d 'update container resource constraints'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "events" -d 'display container events such as OOM notifications, cpu, memory, and IO usage statistics'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "checkpoint" -d 'checkpoint a running container'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "restore" -d 'restore a container from a previous checkpoint'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "net" -d 'show networks and what is connected to them'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "spec" -d 'create a new specification file'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "features" -d 'show the enabled features'
complete -c rrun -n "__fish_rrun_needs_command" -f -a "completions" -d 'print the completions of a shell'
complete -c rrun -n "__fish_rrun_using_subcommand create" -s b -l bundle -d 'path to the root of the bundle directory, defaults to the current directory' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l console-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console\'s pseudoterminal' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l pidfd-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the init process' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l pid-file -d 'specify the file to write the process id to' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l preserve-fds -d 'pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l net -d 'connect the container to a network: bridge, bridge:NAME, host, container:ID, none or ns:/path (default: what config.json says; with another network flag: bridge)' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -s p -l publish -d 'publish ports of the container on the host: [hostIP:][hostPort[-end]:]containerPort[-end][/tcp|udp|sctp][,from=CIDR]' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l ip -d 'the container\'s IPv4 address' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l mac-address -d 'the container\'s MAC address' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l hostname -d 'the container\'s host name' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l dns -d 'use this resolver instead of the host\'s' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l add-host -d 'add a line to the container\'s /etc/hosts' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand create" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand create" -l no-pivot -d 'do not use pivot root to jail process inside rootfs: for a rootfs on top of a ramdisk'
complete -c rrun -n "__fish_rrun_using_subcommand create" -l no-new-keyring -d 'do not create a new session keyring for the container: it inherits the calling process\'s'
complete -c rrun -n "__fish_rrun_using_subcommand create" -l net-dry-run -d 'print what would be done for the network, and do nothing'
complete -c rrun -n "__fish_rrun_using_subcommand create" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand create" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand start" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand start" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand start" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand start" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand start" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand run" -s b -l bundle -d 'path to the root of the bundle directory, defaults to the current directory' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l console-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console\'s pseudoterminal' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l pidfd-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the init process' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l pid-file -d 'specify the file to write the process id to' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l preserve-fds -d 'pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l net -d 'connect the container to a network: bridge, bridge:NAME, host, container:ID, none or ns:/path (default: what config.json says; with another network flag: bridge)' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -s p -l publish -d 'publish ports of the container on the host: [hostIP:][hostPort[-end]:]containerPort[-end][/tcp|udp|sctp][,from=CIDR]' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l ip -d 'the container\'s IPv4 address' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l mac-address -d 'the container\'s MAC address' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l hostname -d 'the container\'s host name' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l dns -d 'use this resolver instead of the host\'s' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l add-host -d 'add a line to the container\'s /etc/hosts' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand run" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand run" -l no-pivot -d 'do not use pivot root to jail process inside rootfs: for a rootfs on top of a ramdisk'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l no-new-keyring -d 'do not create a new session keyring for the container: it inherits the calling process\'s'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l net-dry-run -d 'print what would be done for the network, and do nothing'
complete -c rrun -n "__fish_rrun_using_subcommand run" -s d -l detach -d 'detach from the container\'s process'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l keep -d 'do not delete the container after it exits'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l no-subreaper -d 'disable the use of the subreaper used to reap reparented processes'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand run" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l console-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console\'s pseudoterminal' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l pidfd-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the exec process' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l cwd -d 'current working directory in the container' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s e -l env -d 'set environment variables' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s u -l user -d 'UID (format: <uid>[:<gid>])' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s g -l additional-gids -d 'additional gids' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l process-label -d 'set the asm process label for the process commonly used with selinux' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l apparmor -d 'set the apparmor profile for the process' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s c -l cap -d 'add a capability to the bounding set for the process' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l pid-file -d 'specify the file to write the process id to' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s p -l process -d 'path to the process.json' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l preserve-fds -d 'pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l cgroup -d 'run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s t -l tty -d 'allocate a pseudo-TTY'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l no-new-privs -d 'set the no new privileges value for the process'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s d -l detach -d 'detach from the container\'s process'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l ignore-paused -d 'allow exec in a paused container'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand kill" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand kill" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand kill" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand kill" -s a -l all
complete -c rrun -n "__fish_rrun_using_subcommand kill" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand kill" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand delete" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand delete" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand delete" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand delete" -s f -l force -d 'forcibly deletes the container if it is still running (uses SIGKILL)'
complete -c rrun -n "__fish_rrun_using_subcommand delete" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand delete" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand state" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand state" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand state" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand state" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand state" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand state" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand list" -s f -l format -d 'select one of: table or json' -r
complete -c rrun -n "__fish_rrun_using_subcommand list" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand list" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand list" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand list" -s q -l quiet -d 'display only container IDs'
complete -c rrun -n "__fish_rrun_using_subcommand list" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand list" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand ps" -s f -l format -d 'select one of: table or json' -r
complete -c rrun -n "__fish_rrun_using_subcommand ps" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand ps" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand ps" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand ps" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand ps" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand pause" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand pause" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand pause" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand pause" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand pause" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand resume" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand resume" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand resume" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand resume" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand resume" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand update" -s r -l resources -d 'path to the file containing the resources to update or \'-\' to read from the standard input; options for cgroups are ignored then' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand update" -l blkio-weight -d 'specifies per cgroup weight, range is from 10 to 1000' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-period -d 'CPU CFS period to be used for hardcapping (in usecs)' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-quota -d 'CPU CFS hardcap limit (in usecs): allowed cpu time in a given period; -1 for none' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-burst -d 'CPU CFS hardcap burst limit (in usecs): allowed accumulated cpu time additionally for burst a given period' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-share -d 'CPU shares (relative weight vs. other containers)' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-rt-period -d 'CPU realtime period to be used for hardcapping (in usecs)' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-rt-runtime -d 'CPU realtime hardcap limit (in usecs): allowed cpu time in a given period' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpu-idle -d 'set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpuset-cpus -d 'CPU(s) to use' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l cpuset-mems -d 'memory node(s) to use' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l kernel-memory -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l kernel-memory-tcp -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l memory -d 'memory limit (in bytes, or with a unit as in 50M); -1 for none' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l memory-reservation -d 'memory reservation or soft limit' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l memory-swap -d 'total memory usage (memory + swap); -1 for unlimited swap' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l pids-limit -d 'maximum number of pids allowed in the container; -1 for no limit' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l l3-cache-schema -d 'the string of Intel RDT/CAT L3 cache schema' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l mem-bw-schema -d 'the string of Intel RDT/MBA memory bandwidth schema' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand update" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand update" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand update" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand update" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand update" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand events" -l interval -d 'set the stats collection interval' -r
complete -c rrun -n "__fish_rrun_using_subcommand events" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand events" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand events" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand events" -l stats -d 'display the container\'s stats then exit'
complete -c rrun -n "__fish_rrun_using_subcommand events" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand events" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l image-path -d 'path to the criu image files, defaults to ./checkpoint' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l work-path -d 'path for saving work files and logs' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l manage-cgroups-mode -d 'cgroups mode: soft|full|strict|ignore (default: soft)' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l empty-ns -d 'create a namespace, but don\'t restore its properties' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l parent-path -d 'path for previous criu image files in pre-dump' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l status-fd -d 'criu writes \\0 to this FD once lazy-pages is ready' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l page-server -d 'ADDRESS:PORT of the page server' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l tcp-established -d 'allow open tcp connections'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l ext-unix-sk -d 'allow external unix sockets'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l shell-job -d 'allow shell jobs'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l lazy-pages -d 'use userfaultfd to lazily restore memory pages'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l file-locks -d 'handle file locks, for safety'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l auto-dedup -d 'enable auto deduplication of memory images'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l leave-running -d 'leave the process running after checkpointing'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l tcp-skip-in-flight -d 'skip in-flight tcp connections'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l link-remap -d 'allow one to link unlinked files back when possible'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l pre-dump -d 'dump container\'s memory information only, leave the container running after this'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l image-path -d 'path to the criu image files, defaults to ./checkpoint' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l work-path -d 'path for saving work files and logs' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l manage-cgroups-mode -d 'cgroups mode: soft|full|strict|ignore (default: soft)' -r
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l empty-ns -d 'create a namespace, but don\'t restore its properties' -r
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l console-socket -d 'path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console\'s pseudoterminal' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -s b -l bundle -d 'path to the root of the bundle directory, defaults to the current directory' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l pid-file -d 'specify the file to write the process id to' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l lsm-profile -d 'specify an LSM profile to be used during restore in the form of TYPE:NAME' -r
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l lsm-mount-context -d 'specify an LSM mount context to be used during restore' -r
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l tcp-established -d 'allow open tcp connections'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l ext-unix-sk -d 'allow external unix sockets'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l shell-job -d 'allow shell jobs'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l lazy-pages -d 'use userfaultfd to lazily restore memory pages'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l file-locks -d 'handle file locks, for safety'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l auto-dedup -d 'enable auto deduplication of memory images'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l tcp-close -d 'restore tcp connections as closed ones'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -s d -l detach -d 'detach from the container\'s process'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l no-subreaper -d 'disable the use of the subreaper used to reap reparented processes'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l no-pivot -d 'do not use pivot root to jail process inside rootfs: for a rootfs on top of a ramdisk'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -s h -l help -d 'Print help'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -f -a "ls" -d 'list the networks'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -f -a "inspect" -d 'show a network and its containers, as JSON'
complete -c rrun -n "__fish_rrun_using_subcommand net; and not __fish_seen_subcommand_from ls inspect map" -f -a "map" -d 'show every container\'s cable, end to end'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -s f -l format -d 'select one of: table or json' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -s f -l format -d 'select one of: table or json' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand net; and __fish_seen_subcommand_from map" -s h -l help -d 'Print help'
complete -c rrun -n "__fish_rrun_using_subcommand spec" -s b -l bundle -d 'path to the root of the bundle directory' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l rootless -d 'generate a configuration for a rootless container'
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand spec" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand spec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand features" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand features" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand features" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand features" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand features" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand features" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rrun -n "__fish_rrun_using_subcommand completions" -l log -d 'set the log file to write rrun logs to (default is \'/dev/stderr\')' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand completions" -l log-format -d 'set the log format (\'text\' (default), or \'json\')' -r
complete -c rrun -n "__fish_rrun_using_subcommand completions" -l root -d 'root directory for storage of container state (this should be located in tmpfs) [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]' -r -F
complete -c rrun -n "__fish_rrun_using_subcommand completions" -l debug -d 'enable debug logging'
complete -c rrun -n "__fish_rrun_using_subcommand completions" -l systemd-cgroup -d 'let systemd make the cgroup, as a unit of the system\'s or the user\'s manager; expects cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"'
complete -c rrun -n "__fish_rrun_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
