//! Hosts that are reached by SSH: the agent's way there, several hosts at once, and hosts that are not as they
//! should be.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::common::{Lacking, Output, Sandbox, SshHosts, left_out};
use crate::shop::{self, Target, greet, listing, names, released_to_two, says};

/// Where a host keeps its agents.
pub(crate) fn agents(hosts: &SshHosts, name: &str) -> PathBuf {
    hosts.host(name).home().join(".cache/batou/agents")
}

/// Has a host run a shell script for each login, in which `"$SSH_ORIGINAL_COMMAND"` is what was asked for.
pub(crate) fn wrap_logins(hosts: &SshHosts, name: &str, script: &str) {
    let folder = hosts.host(name).home().parent().unwrap().to_owned();
    let (wrapper, keys) = (folder.join("wrapper"), folder.join("authorized_keys"));
    fs::write(&wrapper, script).unwrap();
    let key = fs::read_to_string(&keys).unwrap();
    fs::write(&keys, format!("command=\"exec /bin/sh {}\" {key}", wrapper.display())).unwrap();
}

#[test]
fn a_host_behind_another_one_is_reached_through_it() {
    let hosts = SshHosts::start(&["gate", "inner"]);
    let sandbox = shop::remote(&hosts, &["inner"]);
    let config = format!("Host inner inner.*\n  ProxyJump gate\n{}", hosts.ssh_config());
    sandbox.write("ssh_config", config);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(Target::remote(&hosts, "inner").file("app/app.conf"), "one on inner\n");
    assert_eq!(["gate", "inner"].map(|name| hosts.host(name).logins()), [1, 1]);
}

#[test]
fn the_whole_way_over_three_hosts() {
    let hosts = SshHosts::start(&["one", "two", "three"]);
    let sandbox = shop::remote(&hosts, &["one", "two", "three"]);
    let targets = ["one", "two", "three"].map(|name| (name, Target::remote(&hosts, name)));
    let in_force = |text: &str, generation: u64| {
        for (name, target) in &targets {
            assert_eq!(target.file("app/app.conf"), format!("{text} on {name}\n"));
            assert_eq!(target.generation(), Some(generation));
        }
    };
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["three  released", "is in force on 3 hosts"]);
    in_force("one", 1);

    let before = targets.each_ref().map(|(_, target)| target.listing());
    let logins = hosts.host("one").logins();
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["nothing to do"]);
    assert_eq!(targets.each_ref().map(|(_, target)| target.listing()), before);
    assert_eq!(hosts.host("one").logins(), logins + 1, "it takes one connection");

    let db = targets[0].1.artifact("db");
    greet(&sandbox, "two");
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stderr, &["staged 9 objects"]);
    in_force("two", 2);
    assert_eq!(targets[0].1.artifact("db"), db);

    sandbox.batou(&["rollback", "dev"]).success();
    in_force("one", 1);

    let environment = sandbox.read("environments/dev/environment.toml");
    let only_app = environment.replace("two = [\"app\", \"db\"]", "two = [\"app\"]");
    sandbox.write("environments/dev/environment.toml", only_app);
    greet(&sandbox, "one");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(names(&targets[1].1.0.join("current")), ["app", "causes.json", "manifest.json"]);
    assert_eq!(names(&targets[1].1.0.join("state/db")), ["initialised"]);
    assert_eq!(targets[0].1.generation(), Some(1), "the same manifest is the same generation");
    for (_, target) in &targets {
        assert_eq!(target.results(), ["1 committed", "2 committed", "3 committed", "4 committed"]);
    }
}

#[test]
fn the_first_contact_installs_the_agent_and_the_second_does_not() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    sandbox.batou(&["status", "dev"]).success();
    let binary = fs::read(env!("CARGO_BIN_EXE_batou")).unwrap();
    assert_eq!(names(&agents(&hosts, "one")), [blake3::hash(&binary).to_hex().to_string()]);
    assert_eq!(hosts.host("one").logins(), 1, "the upload takes no connection of its own");

    let before = listing(&agents(&hosts, "one"));
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(listing(&agents(&hosts, "one")), before);
}

#[test]
fn an_agent_that_arrived_only_in_part_is_sent_anew() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let folder = agents(&hosts, "one");
    fs::create_dir_all(&folder).unwrap();
    let digest = blake3::hash(&fs::read(env!("CARGO_BIN_EXE_batou")).unwrap()).to_hex().to_string();
    fs::write(folder.join(format!(".{digest}.1")), "half of it").unwrap();
    sandbox.batou(&["switch", "dev"]).success();
    assert!(names(&folder).contains(&digest));
}

#[test]
fn an_agent_that_is_damaged_is_sent_anew() {
    let (hosts, sandbox, [target, _]) = released_to_two();
    let folder = agents(&hosts, "one");
    let agent = folder.join(&names(&folder)[0]);
    let whole = fs::read(&agent).unwrap();
    // What a power cut leaves of a file that nobody synced, and what a bad disk does.
    for damage in [&whole[..0], &whole[..whole.len() / 2], b"\0\0\0\0", b"#!/nonexistent\n"] {
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&agent, damage).unwrap();
        let logins = hosts.host("one").logins();
        sandbox.batou(&["status", "dev"]).success();
        assert_eq!(hosts.host("one").logins(), logins + 1, "over the same connection");
        assert!(fs::read(&agent).unwrap() == whole, "after {} bytes", damage.len());
    }
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "two on one\n");
}

#[test]
fn an_agent_is_on_the_disk_before_it_has_its_name() {
    let script = include_str!("../src/remote/start.sh");
    let (sync, name) = (script.find("sync \"$t\"").unwrap(), script.find("mv -f \"$t\"").unwrap());
    assert!(script.find("chmod 0500 \"$t\"").unwrap() < sync && sync < name);
}

#[test]
fn an_unreachable_host_stops_a_release_before_it_begins() {
    let (hosts, sandbox, [one, two]) = released_to_two();
    hosts.host("two").cut();
    greet(&sandbox, "two");
    let before = [&one, &two].map(Target::listing);
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    says(&output.stderr, &["two: cannot connect", "nothing was changed", "--skip two", "--skip-unreachable"]);
    assert_eq!([&one, &two].map(Target::listing), before);
    let status = sandbox.batou(&["status", "dev"]).fails(1);
    says(&status.stdout, &["one  release 1", "two  not reachable: cannot connect"]);
}

#[test]
fn a_host_that_is_left_out_is_caught_up_later() {
    let (hosts, sandbox, [one, two]) = released_to_two();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev", "--skip", "two"]).success();
    hosts.host("two").cut();
    greet(&sandbox, "three");
    let output = sandbox.batou(&["switch", "dev", "--skip-unreachable"]).success();
    says(&output.stderr, &["two is left out: cannot connect"]);
    assert_eq!(one.file("app/app.conf"), "three on one\n");
    assert_eq!(two.file("app/app.conf"), "one on two\n");

    hosts.host("two").heal();
    let status = sandbox.batou(&["status", "dev", "--json"]).success().json();
    let hosts = status.iter().filter(|line| line["type"] == "status");
    let behind: Vec<_> = hosts.map(|line| (&line["host"], &line["behind"])).collect();
    assert_eq!(behind, [(&json!("one"), &json!(false)), (&json!("two"), &json!(true))]);
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["two  released"]);
    assert_eq!(two.file("app/app.conf"), "three on two\n");
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    says(&sandbox.batou(&["switch", "dev", "--skip", "tow"]).fails(2).stderr, &["no host tow"]);
    let nobody = sandbox.batou(&["switch", "dev", "--skip", "one", "--skip", "two"]).fails(2);
    says(&nobody.stderr, &["environment dev has no host that is not left out"]);
}

#[test]
fn a_host_that_does_not_answer_is_unreachable() {
    let (hosts, sandbox, [one, _]) = released_to_two();
    shop::set(&sandbox, "timeout = 1");
    greet(&sandbox, "two");
    hosts.host("two").freeze();
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    hosts.host("two").thaw();
    says(&output.stderr, &["two: cannot connect", "nothing was changed"]);
    assert_eq!(one.file("app/app.conf"), "one on one\n");
}

#[test]
fn what_a_login_shell_prints_is_skipped() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let banner = "printf 'Welcome\\nbatou-agent-1\\nno end of line'\neval \"$SSH_ORIGINAL_COMMAND\"\n";
    wrap_logins(&hosts, "one", banner);
    let output = sandbox.batou(&["switch", "dev"]).success();
    assert!(!(output.stdout + &output.stderr).contains("Welcome"));
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
}

#[test]
fn what_a_login_prints_that_runs_nothing_is_told() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let refusal = "echo 'This account is currently not available.'; printf '\\033[2Jtoday' >&2; exit 7\n";
    wrap_logins(&hosts, "one", refusal);
    let stderr = sandbox.batou(&["switch", "dev"]).fails(1).stderr;
    says(
        &stderr,
        &["one: the login ended before anything was run there (status 7): This account is currently"],
    );
    says(&stderr, &["^[[2Jtoday"]);
}

#[test]
fn a_login_shell_that_prints_without_end_is_an_error() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    wrap_logins(&hosts, "one", "yes Welcome\n");
    says(&sandbox.batou(&["switch", "dev"]).fails(1).stderr, &["one: the login shell printed more than"]);
}

#[test]
fn without_a_home_the_agent_goes_to_var_tmp() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let target = Target::remote(&hosts, "one");
    let environment =
        format!("[environment]\ntarget_directory = \"{}\"\n[hosts]\none = [\"app\"]\n", target.0.display());
    sandbox.write("environments/dev/environment.toml", environment);
    wrap_logins(&hosts, "one", "HOME=/nonexistent; export HOME; eval \"$SSH_ORIGINAL_COMMAND\"\n");
    // A binary of its own: the folder is shared by all that this user deploys to this machine.
    let agent = wrapped_agent(&sandbox, std::env::consts::ARCH, "");
    let output = Output::of(sandbox.command(&["switch", "dev"]).env("BATOU_AGENTS", agent.parent().unwrap()));
    let digest = blake3::hash(&fs::read(&agent).unwrap()).to_hex().to_string();
    let folder = format!("/var/tmp/batou-agents-{}", rustix::process::getuid().as_raw());
    let mode = fs::metadata(&folder).map(|metadata| metadata.permissions().mode() & 0o777);
    let installed = fs::remove_file(Path::new(&folder).join(digest));
    output.success();
    installed.unwrap();
    assert_eq!(mode.unwrap(), 0o700);
    assert_eq!(target.file("app/app.conf"), "one on one\n");
}

#[test]
fn a_folder_of_somebody_else_is_not_taken_over() {
    if !rustix::process::geteuid().is_root() {
        return left_out("a folder of somebody else as target directory", Lacking::Root);
    }
    let theirs = tempfile::Builder::new().prefix("batou-theirs-").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(theirs.path().join("file"), "theirs").unwrap();
    let sandbox = shop::local();
    let directory = theirs.path().display().to_string();
    shop::set(&sandbox, &format!("service_user = \"nobody\"\ntarget_directory = \"{directory}\""));
    let home = "[host.localhost]\nhome = \"/nonexistent\"\n";
    shop::append(&sandbox, "environments/dev/environment.toml", home);
    let before = listing(theirs.path());
    let switched = sandbox.batou(&["switch", "dev"]);
    let id = Output::of(sandbox.program("id").args(["-u", "nobody"])).success().stdout;
    let agent = blake3::hash(&fs::read(env!("CARGO_BIN_EXE_batou")).unwrap()).to_hex();
    fs::remove_file(format!("/var/tmp/batou-agents-{}/{agent}", id.trim())).unwrap();
    let stderr = switched.fails(1).stderr;
    says(&stderr, &["nothing was changed", &format!("`chown -R nobody {directory}`"), "target_directory"]);
    assert_eq!(listing(theirs.path()), before);
}

/// A program for `BATOU_AGENTS` that runs a shell command and then is the agent.
pub(crate) fn wrapped_agent(sandbox: &Sandbox, processor: &str, command: &str) -> PathBuf {
    let path = format!("agents/{processor}-unknown-linux-gnu");
    let own = sandbox.project().display().to_string();
    let script = format!("#!/bin/sh\n# for {own}\n{command}\nexec {} agent\n", env!("CARGO_BIN_EXE_batou"));
    sandbox.write(&path, script);
    sandbox.project().join(path)
}

#[test]
fn a_folder_of_agents_goes_before_batous_own() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let agent = wrapped_agent(&sandbox, std::env::consts::ARCH, "echo started >>\"$HOME/started\"");
    Output::of(sandbox.command(&["switch", "dev"]).env("BATOU_AGENTS", agent.parent().unwrap())).success();
    assert_eq!(fs::read_to_string(hosts.host("one").home().join("started")).unwrap(), "started\n");
    let digest = blake3::hash(&fs::read(agent).unwrap()).to_hex().to_string();
    assert_eq!(names(&agents(&hosts, "one")), [digest]);
}

#[test]
fn a_host_of_another_processor_kind_needs_an_agent_of_its_kind() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let uname = hosts.host("one").home().join("bin/uname");
    fs::create_dir(uname.parent().unwrap()).unwrap();
    fs::write(&uname, "#!/bin/sh\necho s390x\n").unwrap();
    fs::set_permissions(&uname, fs::Permissions::from_mode(0o755)).unwrap();
    wrap_logins(&hosts, "one", "PATH=$HOME/bin:$PATH; eval \"$SSH_ORIGINAL_COMMAND\"\n");
    says(&sandbox.batou(&["switch", "dev"]).fails(1).stderr, &["one: ", "s390x"]);
    assert!(!Target::remote(&hosts, "one").0.exists());

    let agent = wrapped_agent(&sandbox, "s390x", "");
    Output::of(sandbox.command(&["switch", "dev"]).env("BATOU_AGENTS", agent.parent().unwrap())).success();
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
}

#[test]
fn an_unknown_host_key_is_refused_unless_accepted() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let known = sandbox.project().join("known_hosts");
    let config = sandbox.read("ssh_config");
    let lines = config.lines().filter(|line| !line.contains("UserKnownHostsFile"));
    let config = lines.collect::<Vec<_>>().join("\n");
    sandbox.write("ssh_config", format!("{config}\n  UserKnownHostsFile {}\n", known.display()));
    says(
        &sandbox.batou(&["switch", "dev"]).fails(1).stderr,
        &["Host key verification failed", "--accept-new"],
    );
    assert_eq!(hosts.host("one").logins(), 0);
    sandbox.batou(&["switch", "dev", "--accept-new"]).success();
    sandbox.batou(&["switch", "dev"]).success();

    // A host that shows another key than before is refused whatever the option says.
    let line = fs::read_to_string(&known).unwrap();
    let other_key = hosts.host("one").home().join("../../key.pub");
    let other_key = fs::read_to_string(other_key).unwrap();
    fs::write(&known, format!("{} {other_key}", line.split(' ').next().unwrap())).unwrap();
    let output = sandbox.batou(&["switch", "dev", "--accept-new"]).fails(1);
    says(&output.stderr, &["one: the host shows another key than the one that is known of it"]);
    assert!(!output.stderr.contains("--accept-new"), "{}", output.stderr);
}

#[test]
fn names_that_look_like_options_are_refused() {
    let sandbox = shop::local();
    let evil = format!("-oProxyCommand=touch {}", sandbox.project().join("harm").display());
    let environments = [
        format!("[hosts]\n\"{evil}\" = [\"app\"]\n"),
        format!("[hosts]\none = [\"app\"]\n[host.one]\naddress = \"{evil}\"\n"),
        format!("[environment]\nservice_user = \"{evil}\"\n[hosts]\none = [\"app\"]\n"),
    ];
    for environment in environments {
        sandbox.write("environments/dev/environment.toml", environment);
        says(&sandbox.batou(&["switch", "dev"]).fails(2).stderr, &["environment.toml:", "ProxyCommand"]);
    }
    sandbox.write("environments/dev/environment.toml", "[hosts]\none = [\"app\"]\n");
    sandbox.batou(&["retire", "dev", "--", &evil]).fails(2);
    assert!(!sandbox.project().join("harm").exists());
}

#[test]
fn a_target_directory_may_have_any_name() {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let folder = "a 'b\\\" $(touch harm) * ü";
    let environment = sandbox.read("environments/dev/environment.toml");
    sandbox.write(
        "environments/dev/environment.toml",
        environment.replace("\"~/shop\"", &format!("'''~/{folder}'''")),
    );
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target(hosts.host("one").home().join(folder));
    assert_eq!(target.file("app/app.conf"), "one on one\n");
    assert_eq!(names(&target.0.join("state/db")), ["initialised"]);
    sandbox.batou(&["retire", "dev", "one", "--purge", "--yes"]).success();
    assert_eq!(names(&hosts.host("one").home()), [".cache"]);
}

#[test]
fn the_target_of_another_environment_or_project_is_refused() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    let before = [&one, &two].map(Target::listing);
    sandbox.write("environments/test/environment.toml", sandbox.read("environments/dev/environment.toml"));
    let stderr = sandbox.batou(&["switch", "test"]).fails(1).stderr;
    says(&stderr, &["one: ", "holds a release of project shop, environment dev", "target_directory"]);
    sandbox.batou(&["rollback", "test"]).fails(1);
    sandbox.batou(&["retire", "test", "one", "--yes"]).fails(1);
    sandbox.write("batou.toml", "[project]\nname = \"market\"\n");
    says(&sandbox.batou(&["switch", "dev"]).fails(1).stderr, &["holds a release of project shop"]);
    assert_eq!([&one, &two].map(Target::listing), before);
}

#[test]
fn a_name_that_leads_to_another_host_is_refused() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    let config = sandbox.read("ssh_config");
    let config = config.replace("Host one one.*", "Host \0").replace("Host two two.*", "Host one one.*");
    sandbox.write("ssh_config", config.replace('\0', "two two.*"));
    let homes = sandbox.read("environments/dev/environment.toml");
    let homes = homes.replace("[host.one]", "[host.\0]").replace("[host.two]", "[host.one]");
    sandbox.write("environments/dev/environment.toml", homes.replace('\0', "two"));
    let before = [&one, &two].map(Target::listing);
    let stderr = sandbox.batou(&["switch", "dev"]).fails(1).stderr;
    says(&stderr, &["one: ", "(host two), and this is one of", "(host one)"]);
    assert_eq!([&one, &two].map(Target::listing), before);
}

#[test]
fn providers_are_activated_before_those_that_require_them() {
    let names = ["a", "b", "c"];
    let hosts = SshHosts::start(&names);
    let sandbox = shop::remote(&hosts, &names);
    let environment = sandbox.read("environments/dev/environment.toml");
    let environment = environment.replace("a = [\"app\", \"db\"]", "a = [\"lb\"]");
    let environment = environment.replace("b = [\"app\", \"db\"]", "b = [\"web\"]");
    sandbox.write("environments/dev/environment.toml", environment.replace("c = [\"app\"", "c = [\"web\""));
    let order = sandbox.project().join("order");
    let step =
        format!("[[step]]\nname = \"x\"\nupdate = \"echo {{{{ host.name }}}} >>{}\"\n", order.display());
    let provide = "[[provide]]\nkey = \"web\"\nvalue = \"{{ host.name }}\"\n[[require]]\nkey = \"db\"\n";
    sandbox.write("components/web/component.toml", format!("{provide}{step}"));
    sandbox.write("components/lb/component.toml", format!("[[require]]\nkey = \"web\"\n{step}"));
    let db = format!(
        "[[provide]]\nkey = \"db\"\nvalue = \"{{{{ host.name }}}}\"\n{}",
        step.replace("host.name", "component.name")
    );
    sandbox.write("components/db/component.toml", db);
    sandbox.batou(&["switch", "dev"]).success();
    let order = fs::read_to_string(order).unwrap();
    let mut lines: Vec<_> = order.lines().collect();
    lines[1..3].sort_unstable();
    assert_eq!(lines, ["db", "b", "c", "a"]);
}

#[test]
fn no_more_hosts_run_steps_at_a_time_than_there_are_jobs() {
    let names = ["a", "b", "c"];
    let hosts = SshHosts::start(&names);
    let sandbox = shop::remote(&hosts, &names);
    shop::set(&sandbox, "jobs = 1");
    let alone = sandbox.project().join("alone");
    let update = format!("mkdir {0} && sleep 0.3 && rmdir {0}", alone.display());
    let step = format!("[[step]]\nname = \"alone\"\nupdate = \"{update}\"\n");
    shop::append(&sandbox, "components/app/component.toml", &step);
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["is in force on 3 hosts"]);
}

#[test]
fn a_rollback_leaves_hosts_that_were_added_since_as_they_are() {
    let hosts = SshHosts::start(&["one", "two"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    sandbox.batou(&["switch", "dev"]).success();
    let both = shop::environment(&hosts, &["one", "two"], "[\"app\", \"db\"]");
    sandbox.write("environments/dev/environment.toml", both);
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    let output = sandbox.batou(&["rollback", "dev"]).success();
    says(&output.stderr, &["two has nothing from then, and stays as it is"]);
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
    assert_eq!(Target::remote(&hosts, "two").file("app/app.conf"), "two on two\n");
}

#[test]
fn a_rollback_may_be_for_one_host_alone() {
    let (_hosts, sandbox, [one, two]) = released_to_two();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    let before = two.listing();
    sandbox.batou(&["rollback", "dev", "--host", "one"]).success();
    assert_eq!(one.file("app/app.conf"), "one on one\n");
    assert_eq!(two.listing(), before);
    says(&sandbox.batou(&["rollback", "dev", "--host", "tow"]).fails(2).stderr, &["no host tow"]);
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["is in force on 2 hosts"]);
    assert_eq!(one.file("app/app.conf"), "two on one\n");
}

/// The shop with a second release on two hosts, and a damaged file of the first one on `one`.
fn damaged() -> (SshHosts, Sandbox, [Target; 2]) {
    let (hosts, sandbox, targets) = released_to_two();
    let file = targets[0].artifact("app").join("app.conf");
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    let mut text = fs::read(&file).unwrap();
    text[0] ^= 1;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    (hosts, sandbox, targets)
}

#[test]
fn a_damaged_file_is_sent_anew_before_it_is_in_force() {
    let (_hosts, sandbox, targets) = damaged();
    sandbox.batou(&["rollback", "dev"]).success();
    for (name, target) in ["one", "two"].into_iter().zip(&targets) {
        assert_eq!(target.file("app/app.conf"), format!("one on {name}\n"));
    }
    sandbox.batou(&["verify", "dev"]).success();
}

#[test]
fn a_damaged_file_that_nobody_else_has_is_never_in_force() {
    let (_hosts, sandbox, targets) = damaged();
    let mut elsewhere = sandbox.command(&["rollback", "dev"]);
    let output = Output::of(elsewhere.env("BATOU_STORE", sandbox.home().join("empty"))).fails(1);
    says(&output.stderr, &["one: ", "app.conf"]);
    for (name, target) in ["one", "two"].into_iter().zip(&targets) {
        assert_eq!(target.file("app/app.conf"), format!("two on {name}\n"));
        assert_eq!(target.generation(), Some(2));
    }
    assert_eq!(targets[1].results().last().unwrap(), "3 went-back");
}

/// A small file system of its own, which ends with this.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: PathBuf, test: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        let output = Output::of(mount.args(["-t", "tmpfs", "-o", "size=1m", "batou-tests"]).arg(&path));
        if output.status == Some(0) {
            return Some(Self(path));
        }
        let is_root = rustix::process::geteuid().is_root();
        left_out(test, if is_root { Lacking::Namespaces } else { Lacking::Root });
        None
    }

    fn remount(&self, option: &str) {
        Output::of(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0)).success();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Output::of(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// The shop on `one` and `two`, where `one` has a disk of 1 MiB for it.
fn on_small_disk(test: &str) -> Option<(SshHosts, Sandbox, [Target; 2], Tmpfs)> {
    let hosts = SshHosts::start(&["one", "two"]);
    let disk = Tmpfs::mount(hosts.host("one").home().join("shop"), test)?;
    let sandbox = shop::remote(&hosts, &["one", "two"]);
    sandbox.batou(&["switch", "dev"]).success();
    let targets = ["one", "two"].map(|name| Target::remote(&hosts, name));
    greet(&sandbox, "two");
    Some((hosts, sandbox, targets, disk))
}

#[test]
fn a_full_disk_leaves_the_old_release_in_force() {
    let Some((_hosts, sandbox, targets, _disk)) = on_small_disk("a full disk") else { return };
    let noise: Vec<u8> = (0..3_u32 << 20)
        .map(|i| blake3::hash(&(i / 32).to_le_bytes()).as_bytes()[(i % 32) as usize])
        .collect();
    sandbox.write("components/db/noise", noise);
    let component = sandbox.read("components/db/component.toml");
    shop::append(&sandbox, "components/db/component.toml", "[[file]]\npath = \"noise\"\ntemplate = false\n");
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    says(&output.stderr, &["one: ", "full", "nothing was switched anywhere"]);
    for (name, target) in ["one", "two"].into_iter().zip(&targets) {
        assert_eq!(target.file("app/app.conf"), format!("one on {name}\n"));
        assert_eq!(target.results(), ["1 committed"]);
    }
    sandbox.write("components/db/component.toml", component);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(targets[0].file("app/app.conf"), "two on one\n");
}

#[test]
fn a_disk_without_any_room_can_be_collected() {
    let Some((_hosts, sandbox, targets, _disk)) = on_small_disk("a disk without any room") else { return };
    sandbox.batou(&["switch", "dev"]).success();
    let filler = targets[0].0.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    greet(&sandbox, "three");
    let output = sandbox.batou(&["switch", "dev"]).fails(1);
    says(&output.stderr, &["one: the disk is full", "nothing was switched anywhere"]);
    shop::set(&sandbox, "keep = 1");
    says(&sandbox.batou(&["gc", "dev"]).success().stdout, &["one: ", "1 generation"]);
    fs::remove_file(filler).unwrap();
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(targets[0].file("app/app.conf"), "three on one\n");
}

#[test]
fn a_read_only_disk_leaves_the_old_release_in_force() {
    let Some((_hosts, sandbox, targets, disk)) = on_small_disk("a read-only disk") else { return };
    disk.remount("ro");
    let before = targets.each_ref().map(Target::listing);
    let output = sandbox.batou(&["switch", "dev"]);
    disk.remount("rw");
    says(&output.fails(1).stderr, &["one: ", "ead-only", "nothing was changed"]);
    assert_eq!(targets.each_ref().map(Target::listing)[0], before[0]);
    assert_eq!(targets[1].file("app/app.conf"), "one on two\n");
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(targets[0].file("app/app.conf"), "two on one\n");
}

#[test]
fn a_retired_host_is_forgotten_by_the_others() {
    let (hosts, sandbox, [one, two]) = released_to_two();
    let environment = sandbox.read("environments/dev/environment.toml");
    let (start, rest) = environment.split_once("two = [\"app\", \"db\"]\n").unwrap();
    let rest = &rest[..rest.find("[host.two]").unwrap()];
    sandbox.write("environments/dev/environment.toml", format!("{start}{rest}"));
    sandbox.batou(&["switch", "dev"]).success();
    says(&sandbox.batou(&["status", "dev"]).success().stderr, &["two", "`batou retire dev two`"]);
    assert_eq!(two.file("app/app.conf"), "one on two\n");

    hosts.host("two").cut();
    let stderr = sandbox.batou(&["retire", "dev", "two"]).fails(1).stderr;
    says(&stderr, &["two: cannot connect", "`batou retire dev two --lost`"]);
    assert!(!stderr.contains("--skip"), "{stderr}");
    let lost = sandbox.batou(&["retire", "dev", "two", "--lost"]).success();
    assert_eq!(lost.stdout, "two: the other hosts have forgotten it, and nothing was removed there\n");
    let status = sandbox.batou(&["status", "dev"]).success();
    says(&status.stdout, &["release 3 (", "(since then only two was retired)"]);
    assert!(!status.stderr.contains("two"), "{}", status.stderr);
    let history = sandbox.batou(&["history", "dev"]).success().stdout;
    says(&history, &["one, only two was retired\n"]);
    assert!(!history.contains("restored") && !history.contains("once more"), "{history}");
    let lines = sandbox.batou(&["history", "dev", "--json"]).success().json();
    assert_eq!((&lines[0]["forgets"], &lines[0]["restores"]), (&"two".into(), &serde_json::Value::Null));
    hosts.host("two").heal();
    assert_eq!(two.file("app/app.conf"), "one on two\n");

    // Its home is its own, and only the host says where that is.
    let retired = sandbox.batou(&["retire", "dev", "two", "--purge", "--json"]).success().json();
    let (removed, forgotten) = (&retired[0]["removed"], &retired[0]["forgotten"]);
    assert_eq!((removed, forgotten), (&true.into(), &false.into()), "they had forgotten it before");
    assert!(names(&two.0).is_empty());
    let status = sandbox.batou(&["status", "dev"]).success();
    assert!(!status.stderr.contains("two"), "{}", status.stderr);
    assert_eq!(one.file("app/app.conf"), "one on one\n");
    says(&sandbox.batou(&["rollback", "dev"]).success().stdout, &["release 4 (", ", as in release 1"]);
}

#[test]
fn what_is_said_of_a_host_tells_how_it_is_reached_until_it_is_retired() {
    let (hosts, sandbox, [_, two]) = released_to_two();
    let path = "environments/dev/environment.toml";
    let environment = sandbox.read(path);
    let config = hosts.ssh_config().replace("Host two two.*", "Host elsewhere");
    sandbox.write("ssh_config", config);
    let dropped = environment
        .replace("two = [\"app\", \"db\"]\n", "")
        .replace("[host.two]\n", "[host.two]\naddress = \"elsewhere\"\n");
    sandbox.write(path, &dropped);
    let refused = sandbox.batou(&["retire", "dev", "two"]).fails(2).stderr;
    says(&refused, &["there is no host `two`", "if only as `two = false` until it is retired"]);
    sandbox.write(path, dropped.replace("[hosts]\n", "[hosts]\ntwo = false\n"));
    says(
        &sandbox.batou(&["status", "dev"]).success().stderr,
        &["two is no longer in dev", "`batou retire dev two`"],
    );
    let retired = sandbox.batou(&["retire", "dev", "two"]).success();
    let said = "two: everything batou made is removed; its components' data (state/) is kept, unless --purge\n\
                two: the other hosts have forgotten it\n";
    assert_eq!(retired.stdout, said);
    assert_eq!(names(&two.0), ["state"]);
    assert_eq!(sandbox.batou(&["status", "dev"]).success().stderr, "");
}

#[test]
fn the_last_words_about_a_retired_host_say_what_was_changed_and_what_was_not() {
    let (hosts, sandbox, [one, two]) = released_to_two();
    let retire = ["retire", "dev", "two", "--yes", "--lock-wait", "0"];
    let lock = fs::File::open(one.0.join("lock")).unwrap();
    lock.lock().unwrap();
    let held = sandbox.batou(&retire).fails(1);
    says(&held.stdout, &["two: everything batou made is removed"]);
    says(
        &held.stderr,
        &[
            "holds the lock of one",
            "; two is emptied, and the other hosts still remember it",
            "`batou retire dev two --lost --yes`",
        ],
    );
    assert!(!held.stderr.contains("nothing was changed"), "{}", held.stderr);
    assert_eq!(names(&two.0), ["state"]);
    let again = sandbox.batou(&retire).fails(1).stderr;
    says(&again, &["; two had nothing to be removed, and the other hosts still remember it"]);
    let lost = sandbox.batou(&[&retire[..], &["--lost"]].concat()).fails(1).stderr;
    says(&lost, &["holds the lock of one", "; nothing was changed"]);
    drop(lock);

    sandbox.batou(&["switch", "dev"]).success();
    hosts.host("one").cut();
    let cut = sandbox.batou(&[&retire[..], &["--json"]].concat()).fails(1).json();
    let line = cut.iter().find(|line| line["type"] == "retired").unwrap();
    assert_eq!((&line["removed"], &line["forgotten"]), (&true.into(), &false.into()));
    let error = cut.last().unwrap()["message"].as_str().unwrap();
    says(
        error,
        &["1 host cannot be reached; two is emptied, and the other hosts still remember it:\n", "one: "],
    );
    hosts.host("one").heal();
    says(&sandbox.batou(&["retire", "dev", "two", "--lost", "--yes"]).success().stdout, &["forgotten"]);
}

#[test]
fn what_a_failed_retirement_advises_can_be_typed() {
    let (hosts, sandbox, _) = released_to_two();
    hosts.host("two").cut();
    let told = sandbox.batou(&["retire", "dev", "two", "--yes"]).fails(1).stderr;
    let advised = told.split("`batou ").nth(1).unwrap().split('`').next().unwrap();
    let lost = sandbox.batou(&advised.split(' ').collect::<Vec<_>>()).success().stdout;
    assert_eq!(lost, "two: the other hosts have forgotten it, and nothing was removed there\n");
}
