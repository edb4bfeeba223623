//! The connection to a host by SSH: one for all that is wanted there, what is said where there can be none, and what is
//! left of it however its command ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal};

use crate::common::{Lacking, Output, Sandbox, SshHosts, left_out, signal, until, with_argument};
use crate::shop::{self, Target, append, greet, names, released_to_two, says};

/// The shop on the host `one`, not released yet.
fn shop() -> (SshHosts, Sandbox) {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    (hosts, sandbox)
}

/// batou with a shell script in place of ssh, in which `$real` is ssh itself, `$kind` is `master` or `plain`, and `$socket`
/// is where a master is to listen.
fn with_ssh(sandbox: &Sandbox, script: &str, arguments: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|folder| folder.join("ssh")).find(|path| path.exists());
    let real = real.expect("ssh is installed (package openssh-client)");
    let text = format!(
        "#!/bin/sh\nreal='{}'\nkind=plain\nfor word; do\n[ \"$word\" = -M ] && kind=master\n\
         [ \"$last\" = -S ] && socket=$word\nlast=$word\ndone\n\
         echo $kind >>'{}'\n{script}\n",
        real.display(),
        sandbox.project().join("ssh.log").display(),
    );
    sandbox.write("bin/ssh", text);
    let folder = sandbox.project().join("bin");
    fs::set_permissions(folder.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = sandbox.command(arguments);
    command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", folder.display()));
    command
}

/// Which of them were started since this was asked last.
fn started(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.project().join("ssh.log");
    let kinds = fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect();
    fs::write(log, "").unwrap();
    kinds
}

/// The masters of this sandbox's commands.
fn masters(sandbox: &Sandbox) -> Vec<Pid> {
    with_argument(&sandbox.tmp().join("batou-mux-").display().to_string())
}

/// Nothing is left of any connection.
#[track_caller]
fn assert_nothing_left(sandbox: &Sandbox) {
    assert_eq!(names(&sandbox.tmp()), [""; 0]);
    until("the masters have ended", || masters(sandbox).is_empty());
}

/// Starts a switch whose step waits on `two` until its agent is gone, and waits until it does.
fn hanging(sandbox: &Sandbox, targets: &[Target; 2]) -> Child {
    greet(sandbox, "two");
    let hang = "echo $PPID >pid; mv pid agent; while kill -0 $PPID; do sleep 0.1; done";
    let update = format!("{{% if host.name == \"two\" %}}{hang}{{% else %}}true{{% endif %}}");
    let step = format!("[[step]]\nname = \"hang\"\nupdate = '''{update}'''\n");
    append(sandbox, "components/db/component.toml", &step);
    let script = "[ $kind = master ] && echo $socket >\"$last.socket\"\nexec \"$real\" \"$@\"";
    let mut command = with_ssh(sandbox, script, &["switch", "dev"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the step runs", || targets[1].0.join("state/db/agent").exists());
    child
}

/// The master of a host in [`hanging`].
fn master_of(sandbox: &Sandbox, host: &str) -> Pid {
    let found = with_argument(sandbox.read(&format!("{host}.socket")).trim());
    assert_eq!(found.len(), 1);
    found[0]
}

/// The agent that runs the step of [`hanging`].
fn agent(targets: &[Target; 2]) -> Pid {
    let pid = fs::read_to_string(targets[1].0.join("state/db/agent")).unwrap();
    Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
}

/// What a switch that was started by [`hanging`] said.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_command_has_one_connection_to_a_host_and_leaves_none() {
    let (hosts, sandbox) = shop();
    for arguments in [&["switch", "dev"][..], &["switch", "dev"], &["status", "dev"], &["verify", "dev"]] {
        let before = hosts.host("one").logins();
        Output::of(&mut with_ssh(&sandbox, "exec \"$real\" \"$@\"", arguments)).success();
        assert_eq!(hosts.host("one").logins(), before + 1, "{arguments:?}");
        assert_eq!(started(&sandbox), ["master"]);
        assert_nothing_left(&sandbox);
    }
    append(&sandbox, "components/db/component.toml", "[[step]]\nname = \"break\"\nupdate = \"false\"\n");
    sandbox.batou(&["switch", "dev"]).fails(1);
    assert_nothing_left(&sandbox);
}

#[test]
fn what_ssh_says_of_a_host_is_told_without_a_second_attempt() {
    let (hosts, sandbox) = shop();
    let config = sandbox.read("ssh_config");
    let known = sandbox.project().join("known_hosts");
    let other_hosts =
        config.replace("UserKnownHostsFile ", &format!("UserKnownHostsFile {} #", known.display()));
    let port = config.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap().to_owned();
    let expect = |text: &str| {
        let output =
            Output::of(&mut with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["status", "dev"])).fails(1);
        says(&output.stdout, &["one  not reachable: cannot connect: ", text]);
        assert_eq!(started(&sandbox), ["master"], "for {text}");
        assert_nothing_left(&sandbox);
    };
    sandbox.write("ssh_config", &other_hosts);
    expect("No ED25519 host key is known");
    let key = fs::read_to_string(hosts.host("one").home().join("../../key.pub")).unwrap();
    fs::write(&known, format!("[127.0.0.1]:{port} {key}")).unwrap();
    let output = Output::of(&mut with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["plan", "dev"])).fails(1);
    assert_eq!(started(&sandbox), ["master"]);
    let place = format!(
        "one: the host shows another key than the one that is known of it, in {}, line 1: ",
        known.display()
    );
    says(&output.stderr, &[&place, &format!("`ssh-keygen -f {} -R '[127.0.0.1]:{port}'`", known.display())]);
    assert!(!output.stderr.contains("--accept-new") && !output.stderr.contains("@@"), "{}", output.stderr);
    sandbox.write("ssh_config", config.replace("HostName 127.0.0.1", "HostName nowhere.invalid"));
    expect("Could not resolve hostname nowhere.invalid");
    sandbox.write("ssh_config", &config);
    hosts.host("one").deny();
    expect("Permission denied (publickey)");
    hosts.host("one").cut();
    expect("Connection refused");
}

#[test]
fn what_a_jump_host_says_is_told() {
    let hosts = SshHosts::start(&["gate", "inner"]);
    let sandbox = shop::remote(&hosts, &["inner"]);
    let known = sandbox.project().join("known_hosts");
    let config = format!("Host inner inner.*\n  ProxyJump gate\n{}", hosts.ssh_config());
    let no_keys = format!("Host gate\n  UserKnownHostsFile {}\n{config}", known.display());
    let expect = |config: &str, text: &str| {
        sandbox.write("ssh_config", config);
        let output =
            Output::of(&mut with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["status", "dev"])).fails(1);
        says(&output.stdout, &["inner  not reachable: cannot connect: ", text]);
        assert_eq!(started(&sandbox), ["master", "plain"], "for {text}");
        assert_nothing_left(&sandbox);
    };
    expect(&no_keys, "No ED25519 host key is known for [127.0.0.1]");
    hosts.host("gate").deny();
    expect(&config, "Permission denied (publickey)");
    hosts.host("gate").cut();
    expect(&config, "Connection refused");
    assert_eq!(hosts.host("inner").logins(), 0);
}

#[test]
fn a_banner_is_no_error() {
    let (hosts, sandbox) = shop();
    let banner = sandbox.project().join("banner");
    fs::write(&banner, "Permission denied (publickey) to strangers.\nHost key verification failed.\n")
        .unwrap();
    hosts.host("one").set(&format!("Banner {}", banner.display()));
    let output = sandbox.batou(&["switch", "dev"]).success();
    assert!(!(output.stdout + &output.stderr).contains("strangers"));
    hosts.host("one").deny();
    let output = sandbox.batou(&["status", "dev"]).fails(1);
    says(&output.stdout, &["one  not reachable: cannot connect: ", "Permission denied (publickey)."]);
    assert!(!output.stdout.contains("strangers"), "{}", output.stdout);
    let no_master = "[ $kind = master ] && exit 255\nexec \"$real\" \"$@\"";
    let output = Output::of(&mut with_ssh(&sandbox, no_master, &["status", "dev"])).fails(1);
    says(&output.stdout, &["one  not reachable: cannot connect: ", "Permission denied (publickey)."]);
    assert!(!output.stdout.contains("strangers"), "{}", output.stdout);
    assert_eq!(started(&sandbox), ["master", "plain"]);

    let script = "echo 'Closed for today.' >&2; exit 255";
    let output = Output::of(&mut with_ssh(&sandbox, script, &["status", "dev"])).fails(1);
    says(&output.stdout, &["one  not reachable: cannot connect: Closed for today."]);
    assert_eq!(started(&sandbox), ["master", "plain"]);
}

#[test]
fn without_a_master_each_process_has_a_connection_of_its_own() {
    let (hosts, sandbox) = shop();
    let script = "[ $kind = master ] && exit 255\nexec \"$real\" \"$@\"";
    Output::of(&mut with_ssh(&sandbox, script, &["switch", "dev"])).success();
    assert_eq!(started(&sandbox), ["master", "plain"]);
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
    assert_nothing_left(&sandbox);
}

#[test]
fn whatever_lies_in_the_place_of_a_socket_is_no_master() {
    let (hosts, sandbox) = shop();
    let listener = sandbox.tmp().join("listener");
    let _silent = UnixListener::bind(&listener).unwrap();
    let stale = sandbox.tmp().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    // ssh itself, asked to listen there, runs on without a socket.
    for (what, place) in [
        ("a file", "echo >\"$socket\"".to_owned()),
        ("a folder", "mkdir \"$socket\"".to_owned()),
        ("a socket that nobody listens at", format!("ln '{}' \"$socket\"", stale.display())),
        ("a socket whose owner says nothing", format!("ln '{}' \"$socket\"", listener.display())),
        ("a link to such a socket", format!("ln -s '{}' \"$socket\"", listener.display())),
    ] {
        let script = format!("[ $kind = master ] && {place}\nexec \"$real\" \"$@\"");
        let before = hosts.host("one").logins();
        Output::of(&mut with_ssh(&sandbox, &script, &["switch", "dev"])).success();
        assert_eq!(started(&sandbox), ["master", "plain"], "{what}");
        assert_eq!(hosts.host("one").logins(), before + 2, "{what}");
        until("the ssh without a socket has ended", || masters(&sandbox).is_empty());
        assert_eq!(names(&sandbox.tmp()), ["listener", "stale"], "{what}");
    }
}

#[test]
fn two_commands_at_once_do_not_share_a_master() {
    let (hosts, sandbox) = shop();
    let target = Target::remote(&hosts, "one");
    let step = "[[step]]\nname = \"wait\"\nupdate = \"touch waits; until [ -e go ]; do sleep 0.1; done\"\n";
    append(&sandbox, "components/db/component.toml", step);
    let child =
        sandbox.command(&["switch", "dev"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the step runs", || target.0.join("state/db/waits").exists());
    let before = masters(&sandbox);
    assert_eq!(before.len(), 1);
    sandbox.batou(&["status", "dev"]).success();
    assert_eq!(hosts.host("one").logins(), 2);
    assert_eq!(names(&sandbox.tmp()).len(), 1);
    until("the other's master has ended, and this one has not", || masters(&sandbox) == before);
    fs::write(target.0.join("state/db/go"), "").unwrap();
    let (status, text) = ended(child);
    assert_eq!(status, Some(0), "{text}");
    assert_nothing_left(&sandbox);
}

#[test]
fn a_host_whose_master_is_killed_is_lost_and_asked_again() {
    let (hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    let logins = ["one", "two"].map(|name| hosts.host(name).logins());
    signal(master_of(&sandbox, "two"), Signal::KILL);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["two/db: the connection to the agent was lost", "one  went back", "two  went back"]);
    assert_eq!(["one", "two"].map(|name| hosts.host(name).logins()), [logins[0], logins[1] + 1]);
    for target in &targets {
        assert_eq!(target.results(), ["1 committed", "2 went-back"]);
    }
    assert_nothing_left(&sandbox);
}

#[test]
fn agents_hear_of_a_killed_controller_before_its_masters_end() {
    let (_hosts, sandbox, targets) = released_to_two();
    let mut child = hanging(&sandbox, &targets);
    assert_eq!(masters(&sandbox).len(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let back = || targets.iter().all(|target| !target.0.join("intent.json").exists());
    until("the agents have gone back, or the masters have ended", || back() || masters(&sandbox).is_empty());
    assert!(back(), "agents hear of it at once, and not when the masters have waited long enough");
    assert_eq!(targets.each_ref().map(Target::results), [["1 committed", "2 went-back"]; 2]);

    until("the masters have ended by themselves", || masters(&sandbox).is_empty());
    let left = names(&sandbox.tmp());
    assert_eq!((left.len(), names(&sandbox.tmp().join(&left[0]))), (1, vec![]));
    sandbox.batou(&["status", "dev"]).success();
    assert_nothing_left(&sandbox);
}

#[test]
fn what_a_killed_command_left_is_removed_by_the_next() {
    let (_hosts, sandbox) = shop();
    let left = sandbox.tmp().join("batou-mux-abcdef");
    fs::create_dir(&left).unwrap();
    drop(UnixListener::bind(left.join("0")).unwrap());
    sandbox.batou(&["status", "dev"]).success();
    assert_nothing_left(&sandbox);
}

#[test]
fn an_interrupt_ends_no_connection_of_the_release_that_is_taken_back() {
    let (hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    let logins = ["one", "two"].map(|name| hosts.host(name).logins());
    for pid in masters(&sandbox) {
        let group = rustix::process::getpgid(Some(pid)).unwrap();
        assert_ne!(group, rustix::process::getpgid(Some(Pid::from_child(&child))).unwrap());
    }
    signal(Pid::from_child(&child), Signal::INT);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["one  went back", "two  went back"]);
    assert_eq!(["one", "two"].map(|name| hosts.host(name).logins()), logins);
    assert_nothing_left(&sandbox);
}

#[test]
fn an_ssh_that_connects_does_not_hear_the_terminals_interrupt() {
    let (_hosts, sandbox) = shop();
    let script = "read _ _ _ _ group _ </proc/$$/stat; echo $group $$ >group\nexec \"$real\" \"$@\"";
    Output::of(&mut with_ssh(&sandbox, script, &["status", "dev"])).success();
    let text = sandbox.read("group");
    let (group, pid) = text.trim().split_once(' ').unwrap();
    assert_eq!(group, pid);
}

#[test]
fn an_ssh_that_still_connects_ends_with_its_command() {
    let (hosts, sandbox, _) = released_to_two();
    hosts.host("two").freeze();
    // The hosts are called first, and then there is nothing to say to them.
    sandbox.write("components/app/component.toml", "nonsense");
    let output = Output::of(&mut with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["switch", "dev"]));
    let left = (masters(&sandbox).len(), names(&sandbox.tmp()));
    hosts.host("two").thaw();
    output.fails(2);
    assert_eq!(left.1, [""; 0]);
    until("the ssh has ended", || masters(&sandbox).is_empty());
    assert!(started(&sandbox).iter().all(|kind| kind == "master"));
}

/// A target directory for `nobody` in a folder of root's, through a login as root.
struct Foreign {
    hosts: SshHosts,
    sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Foreign {
    fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            left_out(test, Lacking::Root);
            return None;
        }
        let (hosts, sandbox) = shop();
        let folder = tempfile::Builder::new().prefix("batou-foreign-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let environment = format!(
            "[environment]\nservice_user = \"nobody\"\ntarget_directory = \"{}/shop\"\n[hosts]\none = [\"app\"]\n\
             [host.one]\nhome = \"/nonexistent\"\n",
            folder.path().display()
        );
        sandbox.write("environments/dev/environment.toml", environment);
        Some(Self { hosts, sandbox, folder })
    }

    /// A switch, which must succeed; how often it logged in.
    fn switch(&self) -> usize {
        let before = self.hosts.host("one").logins();
        // An agent of its own: the folder is shared by all that is deployed to this machine for nobody.
        let name = format!("agents/{}-unknown-linux-gnu", std::env::consts::ARCH);
        let own = self.folder.path().display();
        let script = format!("#!/bin/sh\n# for {own}\nexec {} agent\n", env!("CARGO_BIN_EXE_batou"));
        self.sandbox.write(&name, &script);
        let mut command = self.sandbox.command(&["switch", "dev"]);
        let output = Output::of(command.env("BATOU_AGENTS", self.sandbox.project().join("agents")));
        let id = Output::of(self.sandbox.program("id").args(["-u", "nobody"])).success().stdout;
        let digest = blake3::hash(script.as_bytes()).to_hex();
        let installed = PathBuf::from(format!("/var/tmp/batou-agents-{}/{digest}", id.trim()));
        let removed = fs::remove_file(installed);
        output.success();
        removed.unwrap();
        self.hosts.host("one").logins() - before
    }
}

#[test]
fn the_target_directory_is_made_over_the_same_connection() {
    let Some(foreign) = Foreign::new("a target directory that only root can make") else { return };
    assert_eq!(foreign.switch(), 1);
    assert!(foreign.folder.path().join("shop/current/app/app.conf").exists());
    assert_nothing_left(&foreign.sandbox);
}

#[test]
fn a_host_that_allows_one_session_gets_a_second_connection() {
    let Some(foreign) = Foreign::new("a target directory on a host that allows one session") else { return };
    foreign.hosts.host("one").set("MaxSessions 1");
    assert_eq!(foreign.switch(), 2);
    assert!(foreign.folder.path().join("shop/current/app/app.conf").exists());
    assert_nothing_left(&foreign.sandbox);
}

#[test]
fn a_login_that_ends_with_255_was_a_login() {
    let (hosts, sandbox) = shop();
    let keys = hosts.host("one").home().parent().unwrap().join("authorized_keys");
    let key = fs::read_to_string(&keys).unwrap();
    for (script, text) in [
        ("echo sorry >&2; exit 255", "(status 255): sorry"),
        ("exit 127", "(status 127)"),
        ("kill -9 $$", "the login ended before anything was run there"),
    ] {
        fs::write(&keys, format!("command=\"{script}\" {key}")).unwrap();
        let output = sandbox.batou(&["status", "dev"]).fails(1);
        says(&output.stdout, &["one  not reachable: the login ended before anything was run there", text]);
    }
}

#[test]
fn an_agent_that_hangs_is_cut_off() {
    let (hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    let logins = hosts.host("two").logins();
    let agent = agent(&targets);
    signal(agent, Signal::STOP);
    until("the host is asked again", || hosts.host("two").logins() > logins);
    signal(agent, Signal::CONT);
    let (status, text) = ended(child);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["two/db: the connection to the agent was lost", "nothing was heard for 30 s"]);
    says(&text, &["one  went back", "two  went back"]);
    assert_nothing_left(&sandbox);
}

#[test]
fn a_master_that_hangs_is_left_behind_and_killed() {
    let (_hosts, sandbox, targets) = released_to_two();
    let child = hanging(&sandbox, &targets);
    let master = master_of(&sandbox, "two");
    signal(master, Signal::STOP);
    let (status, text) = ended(child);
    let survived = masters(&sandbox);
    signal(master, Signal::KILL);
    assert_eq!(status, Some(1), "{text}");
    says(&text, &["two/db: the connection to the agent was lost", "one  went back", "two  went back"]);
    assert!(!survived.contains(&master));
    assert_nothing_left(&sandbox);
}

#[test]
fn a_path_in_which_ssh_would_put_something_in_is_told_as_it_is() {
    let (_hosts, sandbox) = shop();
    let place = sandbox.tmp().join("%h %n");
    fs::create_dir(&place).unwrap();
    let mut command = with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["status", "dev"]);
    Output::of(command.env("XDG_RUNTIME_DIR", &place)).success();
    assert_eq!(started(&sandbox), ["master"]);
    assert_eq!(names(&place), [""; 0]);
}

#[test]
fn a_command_whose_output_nobody_reads_is_ended() {
    let (_hosts, sandbox) = shop();
    sandbox.batou(&["switch", "dev"]).success();
    let mut child = sandbox
        .command(&["exec", "dev", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_nothing_left(&sandbox);
}

#[test]
fn a_signal_ends_the_connections_first_and_then_the_command_as_any_program() {
    let (hosts, sandbox) = shop();
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target::remote(&hosts, "one").0;
    for wanted in [Signal::INT, Signal::TERM, Signal::HUP] {
        let script = "touch running; exec sleep 1000";
        let mut command = sandbox.command(&["exec", "dev", "--", "sh", "-c", script]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("the command runs", || target.join("running").exists());
        fs::remove_file(target.join("running")).unwrap();
        signal(Pid::from_child(&child), wanted);
        let output = child.wait_with_output().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(wanted.as_raw()));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert_nothing_left(&sandbox);
    }
}

#[test]
fn as_many_descriptors_as_may_be_had_are_used() {
    let (_hosts, sandbox) = shop();
    let batou = env!("CARGO_BIN_EXE_batou");
    let mut command = with_ssh(&sandbox, "exec \"$real\" \"$@\"", &["status", "dev"]);
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    command = sandbox.program("sh");
    command.env("PATH", path).args(["-c", &format!("ulimit -Sn 16; exec {batou} status dev")]);
    Output::of(&mut command).success();
    assert_eq!(started(&sandbox), ["master"]);
}

#[test]
fn without_ssh_the_missing_program_is_named() {
    let (_hosts, sandbox) = shop();
    let missing =
        "error: there is no `ssh` in PATH: install OpenSSH's client (Debian's package openssh-client)\n";
    for arguments in [
        &["status", "dev"][..],
        &["plan", "dev"],
        &["switch", "dev", "--skip-unreachable"],
        &["verify", "dev"],
    ] {
        let output = Output::of(sandbox.command(arguments).env("PATH", "/nonexistent")).fails(1);
        assert!(output.stderr.ends_with(missing), "{arguments:?}: {}", output.stderr);
        assert!(!output.stderr.contains("one") && !output.stdout.contains("one"), "{}", output.stderr);
    }
    let output = Output::of(sandbox.command(&["status", "dev"]).env("BATOU_AGENTS", "/nonexistent")).fails(2);
    says(&output.stderr, &["BATOU_AGENTS names /nonexistent, and there is no such folder"]);
}

#[test]
fn what_is_no_agent_in_the_folder_of_agents_is_named_with_the_variable() {
    let sandbox = shop::local();
    let name = format!("agents/{}-unknown-linux-gnu", std::env::consts::ARCH);
    sandbox.write(&name, "no program");
    let path = sandbox.project().join(&name);
    let told = |agents: &str, status| {
        let mut command = sandbox.command(&["status", "dev"]);
        let output = Output::of(command.env("BATOU_AGENTS", sandbox.project().join(agents))).fails(status);
        assert!(!output.stderr.contains("localhost"), "it is no host's fault: {}", output.stderr);
        output.stderr
    };
    says(&told(&name, 2), &["BATOU_AGENTS names ", &name, ", and that is no folder"]);
    says(
        &told("agents", 1),
        &["BATOU_AGENTS: ", &name, " is not executable, and is to be an agent's program"],
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    says(
        &told("agents", 1),
        &["BATOU_AGENTS: ", &name, " cannot be run: put an agent's program for this machine"],
    );
    for (program, did) in
        [("echo Good day; exit 3", "ended (status 3): Good day"), ("yes", "printed more than 64 KiB")]
    {
        fs::write(&path, format!("#!/bin/sh\n{program}\n")).unwrap();
        let problem =
            format!(" was started as this machine's agent and {did}: put an agent's program in its place");
        says(&told("agents", 1), &["BATOU_AGENTS: ", &name, &problem]);
    }
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    says(&told("agents", 1), &["BATOU_AGENTS: ", &name, " is a pipe, a socket or a device"]);
}
