//! What the tests stand on works: a sandbox keeps the machine out, hosts answer, break and come back, and
//! a trace says what happened in which order.

use std::time::Duration;
use std::{fs, thread};

use crate::common::{BootedHosts, Call, Output, Sandbox, SshHosts, Strace, left_out, parse, until};

#[test]
fn a_sandbox_hides_the_machine_from_programs() {
    let sandbox = Sandbox::new();
    sandbox.write("folder/file", "text");
    assert_eq!(sandbox.read("folder/file"), "text");
    let shown =
        Output::of(sandbox.program("sh").args(["-c", "pwd; echo $HOME; echo $BATOU_STORE; echo $NO_COLOR"]))
            .success();
    let expected =
        [sandbox.project(), sandbox.home(), sandbox.store()].map(|path| path.display().to_string());
    assert_eq!(shown.stdout.lines().collect::<Vec<_>>(), [&expected[0], &expected[1], &expected[2], "1"]);
}

#[test]
fn a_sandbox_runs_batou() {
    let sandbox = Sandbox::new();
    assert!(sandbox.batou(&["--help"]).success().stderr.is_empty());
}

#[test]
fn a_sandbox_copies_an_example_without_its_results() {
    let sandbox = Sandbox::example("quickstart");
    assert!(sandbox.read("batou.toml").contains("quickstart"));
    assert!(!sandbox.project().join("work").exists());
}

#[test]
fn a_project_can_be_a_repository() {
    let sandbox = Sandbox::new();
    sandbox.write("batou.toml", "").commit_all().write("batou.toml", "\n").commit_all();
    assert_eq!(sandbox.git(&["rev-list", "--count", "main"]).stdout, "2\n");
}

#[test]
fn output_is_read_as_json_lines() {
    let sandbox = Sandbox::new();
    let output =
        Output::of(sandbox.program("sh").args(["-c", "echo '{\"a\": 1}'; echo '[]'; exit 3"])).fails(3);
    assert_eq!(output.json(), [serde_json::json!({"a": 1}), serde_json::json!([])]);
}

#[test]
fn fast_hosts_run_commands_in_homes_of_their_own() {
    let hosts = SshHosts::start(&["one", "two"]);
    for name in ["one", "two"] {
        let home = hosts.ssh(name, "true && echo $HOME").success().stdout;
        assert_eq!(home.trim(), hosts.host(name).home().display().to_string());
        assert_eq!(hosts.host(name).logins(), 1);
    }
    assert!(
        hosts
            .environment()
            .contains(&format!("[host.one]\nhome = \"{}\"", hosts.host("one").home().display()))
    );
}

#[test]
fn fast_hosts_of_several_tests_start_at_once() {
    let start = || {
        let hosts = SshHosts::start(&["one", "two", "three"]);
        for name in ["one", "two", "three"] {
            hosts.ssh(name, "true").success();
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(start))));
}

#[test]
fn a_cut_ends_connections_but_not_what_they_started() {
    let hosts = SshHosts::start(&["one"]);
    let started = hosts.host("one").home().join("started");
    let command = "cd; trap '' HUP PIPE; touch started; while read line; do :; done; touch survived";
    thread::scope(|scope| {
        let connection = scope.spawn(|| {
            let config = hosts.host("one").home().join("config");
            fs::write(&config, hosts.ssh_config()).unwrap();
            let mut ssh = std::process::Command::new("ssh");
            let mut child = ssh
                .arg("-F")
                .arg(config)
                .args(["one", command])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let _input = child.stdin.take();
            child.wait().unwrap()
        });
        until("the command runs", || started.exists());
        hosts.host("one").cut();
        assert_eq!(connection.join().unwrap().code(), Some(255));
    });
    until("the command goes on", || hosts.host("one").home().join("survived").exists());
    hosts.ssh("one", "true").fails(255);
    hosts.host("one").heal();
    hosts.ssh("one", "true").success();
}

#[test]
fn a_crash_ends_everything_on_a_host() {
    let hosts = SshHosts::start(&["one"]);
    let pid = hosts.host("one").home().join("pid");
    thread::scope(|scope| {
        let connection =
            scope.spawn(|| hosts.ssh("one", "cd; echo $$ >new; mv new pid; exec sleep 60").fails(255));
        until("the command runs", || pid.exists());
        hosts.host("one").crash();
        connection.join().unwrap();
    });
    let pid = fs::read_to_string(pid).unwrap();
    until("the command has ended", || !fs::exists(format!("/proc/{}", pid.trim())).unwrap());
}

#[test]
fn a_frozen_host_answers_when_it_thaws() {
    let hosts = SshHosts::start(&["one"]);
    hosts.host("one").freeze();
    thread::scope(|scope| {
        let connection = scope.spawn(|| hosts.ssh("one", "true").success());
        thread::sleep(Duration::from_millis(300));
        assert!(!connection.is_finished());
        hosts.host("one").thaw();
        connection.join().unwrap();
    });
}

#[test]
fn booted_hosts_answer_break_and_come_back() {
    let Some(hosts) = BootedHosts::start(2, "booted hosts answer, break and come back") else { return };
    let sandbox = Sandbox::new();
    let shown =
        hosts.ssh("h2", "hostname; id -un; sudo -u shop id -un; ps -o comm= 1; command -v python3").fails(1);
    assert_eq!(shown.stdout, "h2\ndeploy\nshop\nsystemd\n");
    assert!(hosts.ssh_config().contains("Host h1 h1.example.net\n"));
    hosts.batou(&sandbox, &["--help"]).success();

    hosts.cut("h1");
    hosts.ssh("h1", "true").fails(255);
    hosts.ssh("h2", "true").success();
    hosts.heal("h1");
    hosts.ssh("h1", "sudo touch /srv/kept").success();
    hosts.crash("h1");
    hosts.ssh("h1", "true").fails(255);
    hosts.boot("h1");
    hosts.ssh("h1", "test -e /srv/kept").success();
    assert!(hosts.root("h1").join("srv/kept").exists());
    drop(hosts);

    let hosts = BootedHosts::start(2, "booted hosts are clean again").unwrap();
    assert!(!hosts.root("h1").join("srv/kept").exists());
}

#[test]
fn strace_records_calls_in_their_order() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("traces of system calls", lacking);
    }
    let (sandbox, strace) = (Sandbox::new(), Strace::of("mkdir,rename,renameat,renameat2,rmdir"));
    let prefix = strace.prefix();
    let mut command = sandbox.program(&prefix[0]);
    Output::of(command.args(&prefix[1..]).args([
        "sh",
        "-c",
        "mkdir a; mv a b; rmdir b; ! rmdir b 2>/dev/null",
    ]))
    .success();
    let calls: Vec<Call> = strace.calls();
    let done = calls
        .iter()
        .filter(|call| call.succeeded())
        .map(|call| (call.name.trim_end_matches(['a', 't', '2']), call.pid));
    let (names, pids): (Vec<_>, Vec<_>) = done.unzip();
    assert_eq!(names, ["mkdir", "rename", "rmdir"]);
    assert!(pids[0] != pids[1] && pids[1] != pids[2], "each was a process of its own");
    assert_eq!(calls[0].path(0), Some("a"));
    assert!(calls.last().unwrap().result.starts_with("-1 ENOENT"));
}

#[test]
fn strace_kills_before_a_call_is_carried_out() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("kills before a system call", lacking);
    }
    let (sandbox, strace) = (Sandbox::new(), Strace::of("mkdir").killing_at(2));
    let prefix = strace.prefix();
    let output = Output::of(sandbox.program(&prefix[0]).args(&prefix[1..]).args(["mkdir", "a", "b", "c"]));
    assert_eq!(output.status, None);
    assert!(sandbox.project().join("a").exists());
    assert!(!sandbox.project().join("b").exists());
    assert!(!strace.calls().last().unwrap().succeeded());
}

#[test]
fn a_trace_of_several_threads_is_joined() {
    let record = "\
10 openat(AT_FDCWD</a b>, \"x, \\\"y\", O_RDONLY|O_CLOEXEC) = 3</a b/x>
10 fsync(3</a b/x> <unfinished ...>
11 rename(\"/a\", \"/b\") = 0
10 <... fsync resumed>)              = 0
11 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
11 newfstatat(4</c>, \"\", {st_mode=S_IFREG|0644, st_size=3, ...}, AT_EMPTY_PATH) = 0
11 unlink(\"/gone\") = -1 ENOENT (No such file or directory)
11 mkdir(\"/never\", 0777 <unfinished ...>
11 +++ killed by SIGKILL +++
";
    let calls = parse(record);
    let names: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.pid, call.began)).collect();
    let expected = [
        ("openat", 10, 0),
        ("rename", 11, 2),
        ("fsync", 10, 1),
        ("newfstatat", 11, 5),
        ("unlink", 11, 6),
        ("mkdir", 11, 7),
    ];
    assert_eq!(names, expected);
    assert_eq!(calls[0].args, ["AT_FDCWD</a b>", "\"x, \\\"y\"", "O_RDONLY|O_CLOEXEC"]);
    assert_eq!((calls[0].path(0), calls[2].path(0)), (Some("/a b"), Some("/a b/x")));
    assert_eq!(calls[3].args[2], "{st_mode=S_IFREG|0644, st_size=3, ...}");
    assert_eq!(
        (calls[4].result.as_str(), calls[5].result.as_str()),
        ("-1 ENOENT (No such file or directory)", "?")
    );
    assert_eq!(calls.iter().filter(|call| call.succeeded()).count(), 4);
}
