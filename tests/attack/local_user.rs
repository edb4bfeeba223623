//! Another user of a host, who may do there whatever file modes let him: what he reads, which locks he takes, and where he
//! makes files. What he plants where an agent is looked for is in `agent.rs`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;
use walkdir::WalkDir;

use crate::common::{Lacking, Output, Sandbox, Strace, below, counted, left_out, until};

/// A user that no machine has.
const OTHER: &str = "54321";
/// What a step has in its text and prints: nobody else is to see it.
const SECRET: &str = "hush-27182818";

/// A project whose steps hold a secret, on a machine that lets everybody into its folders.
fn released() -> Sandbox {
    let sandbox = Sandbox::new();
    project(&sandbox, 1);
    fs::set_permissions(sandbox.store().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    sandbox.batou(&["switch", "dev"]).success();
    project(&sandbox, 2);
    sandbox.batou(&["switch", "dev"]).success();
    sandbox
}

fn project(sandbox: &Sandbox, version: u32) {
    sandbox
        .write("batou.toml", "[project]\nname = \"shop\"\n")
        .write(
            "environments/dev/environment.toml",
            "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n",
        )
        .write(
            "components/app/component.toml",
            format!(
                "[[file]]\npath = \"public\"\ncontent = \"{version}\\n\"\n\
                 [[file]]\npath = \"private\"\nmode = \"0400\"\ncontent = \"{SECRET} {version}\\n\"\n\
                 [[step]]\nname = \"step\"\nverify = \"grep -q {version} done\"\n\
                 update = \"echo {SECRET} {version} >> done; chmod 600 done; cat done\"\n"
            ),
        );
}

/// Runs a program as the other user.
fn as_other(program: &[&str]) -> Output {
    let ids = ["--reuid", OTHER, "--regid", OTHER, "--clear-groups", "--"];
    Output::of(Command::new("setpriv").args(ids).args(program).current_dir("/"))
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        left_out("what other users can do to a target", Lacking::Root);
    }
    root
}

/// Everything below a folder.
fn all(folder: &Path) -> Vec<PathBuf> {
    WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn another_user_reads_nothing_secret_of_a_target() {
    if !is_root() {
        return;
    }
    let sandbox = released();
    let target = sandbox.project().join("work/dev");
    let (mut read, mut refused) = (0, 0);
    let mut shown = Vec::new();
    for path in all(&target).iter().filter(|path| path.is_file()) {
        let output = as_other(&["cat", text(path)]);
        if output.status != Some(0) {
            refused += 1;
            continue;
        }
        read += 1;
        if output.stdout.contains(SECRET) {
            shown.push(path.strip_prefix(&target).unwrap().to_owned());
        }
    }
    counted(&format!("another user and {} files: {read} read, {refused} refused", read + refused));
    assert!(
        as_other(&["cat", text(&target.join("current/app/public"))]).status == Some(0),
        "files of a release"
    );
    assert!(shown.is_empty(), "these are open to all, and have a secret in them: {shown:?}");
}

#[test]
fn another_user_takes_no_lock_and_makes_nothing_in_a_target_or_store() {
    if !is_root() {
        return;
    }
    let sandbox = released();
    // He holds whatever he can for as long as batou works.
    let mut holders = Vec::new();
    let (mut locks, mut planted) = (Vec::new(), Vec::new());
    let roots = [sandbox.project().join("work/dev"), sandbox.store()];
    for path in roots.iter().flat_map(|root| all(root)) {
        if path.is_dir() {
            let trap = path.join("trap");
            if as_other(&["touch", text(&trap)]).status == Some(0) {
                planted.push(trap);
            }
        } else if path.is_file() {
            let taken = as_other(&["flock", "-n", text(&path), "true"]).status == Some(0);
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if taken && (name == "lock" || name == "publish" || path.parent().unwrap().ends_with("leases")) {
                locks.push(path.clone());
            }
            if taken {
                let ids = ["--reuid", OTHER, "--regid", OTHER, "--clear-groups", "--"];
                let hold = ["flock", "--no-fork", "-n", text(&path), "sleep", "600"];
                holders.push(
                    Command::new("setpriv")
                        .args(ids)
                        .args(hold)
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .spawn()
                        .unwrap(),
                );
            }
        }
    }
    project(&sandbox, 3);
    let output = sandbox.batou(&["switch", "dev", "--lock-wait", "0"]);
    let verified = sandbox.batou(&["verify", "dev"]);
    let collected = sandbox.batou(&["gc", "dev"]);
    counted(&format!("another user holds {} files, of which {} are locks", holders.len(), locks.len()));
    for mut holder in holders {
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
    assert!(locks.is_empty() && planted.is_empty(), "{locks:?} {planted:?}");
    for output in [output, verified, collected] {
        output.success();
    }
}

/// Who a service runs as, in the test where it is not root.
const SERVICE: &str = "54322";

#[test]
fn another_user_neither_signals_nor_traces_what_works_for_a_service() {
    if !is_root() {
        return;
    }
    if let Some(lacking) = Strace::lacking() {
        return left_out("other users who trace an agent", lacking);
    }
    let sandbox = Sandbox::new();
    project(&sandbox, 1);
    let target = sandbox.project().join("work/dev");
    let waiting =
        "[[step]]\nname = \"wait\"\nupdate = \"touch waits; until test -e go; do sleep 0.1; done\"\n";
    crate::shop::append(&sandbox, "components/app/component.toml", waiting);
    let folder = sandbox.store().parent().unwrap().to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    Output::of(Command::new("chown").args(["-R", SERVICE]).arg(&folder)).success();
    let ids = ["setpriv", "--reuid", SERVICE, "--regid", SERVICE, "--clear-groups", "--"];
    let mut batou = sandbox.command_under(&ids, &["switch", "dev"]);
    let mut batou = batou.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let state = target.join("state/app");
    until("the step waits", || state.join("waits").exists());

    let processes = below_and_itself(Pid::from_child(&batou));
    let (mut refused, mut allowed) = (0, Vec::new());
    for process in &processes {
        let pid = process.as_raw_nonzero().to_string();
        let file = |name: &str| format!("/proc/{pid}/{name}");
        let attempts: [&[&str]; 10] = [
            &["kill", "-0", &pid],
            &["kill", "-STOP", &pid],
            &["kill", "-TERM", &pid],
            &["kill", "-KILL", &pid],
            &["timeout", "5", "strace", "-o", "/dev/null", "-p", &pid],
            &["cat", &file("environ")],
            &["head", "-c1", &file("mem")],
            &["cat", &file("maps")],
            &["ls", &file("fd")],
            &["ls", &file("cwd/")],
        ];
        for attempt in attempts {
            match as_other(attempt).status {
                Some(0 | 124) => allowed.push(attempt.join(" ")),
                _ => refused += 1,
            }
        }
    }
    fs::write(state.join("go"), "").unwrap();
    let ended = batou.wait().unwrap();
    counted(&format!("another user and {} processes: {refused} attempts refused", processes.len()));
    assert!(allowed.is_empty(), "{allowed:?}");
    // batou, its agent and the step's shell at the least.
    assert!(processes.len() >= 3, "{processes:?}");
    assert!(ended.success(), "{ended:?}");
}

/// As after a `sudo batou`.
#[test]
fn what_is_roots_in_a_services_target_is_named_with_how_it_is_given_back() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    project(&sandbox, 1);
    let target = sandbox.project().join("work/dev");
    let folder = sandbox.store().parent().unwrap().to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let own =
        |user: &str, path: &Path| Output::of(Command::new("chown").args(["-hR", user]).arg(path)).success();
    own(SERVICE, &folder);
    let ids = ["setpriv", "--reuid", SERVICE, "--regid", SERVICE, "--clear-groups", "--"];
    let run = |command: &[&str]| Output::of(&mut sandbox.command_under(&ids, command));
    run(&["switch", "dev"]).success();
    let parts =
        ["lock", "journal", "activated.json", "generations", "store/lock", "store/tmp", "store/blobs", "."];
    for (version, part) in (2..).zip(parts) {
        project(&sandbox, version);
        own(SERVICE, &sandbox.project());
        let part = target.join(part);
        own("0:0", &part);
        if part.is_file() {
            fs::set_permissions(&part, Permissions::from_mode(0o600)).unwrap();
        }
        let refused = run(&["switch", "dev"]).fails(1).stderr;
        let give = format!("`chown -R {SERVICE} {}`", target.display());
        assert!(
            refused.contains(&give) && (part == target.join(".") || refused.contains("belongs to root")),
            "{part:?}: {refused}"
        );
        own(SERVICE, &target);
        run(&["switch", "dev"]).success();
    }
}

/// A process with all that it has started.
fn below_and_itself(first: Pid) -> Vec<Pid> {
    let others = below(first).into_iter().map(|process| process.pid);
    [first].into_iter().chain(others).collect()
}
