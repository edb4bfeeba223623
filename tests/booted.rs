//! Releases to four whole hosts over SSH: logged in as `deploy`, run as `shop` through sudo; with cables that are
//! pulled and hosts that crash in the middle.

use std::fs::{self, File};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::common::{BootedHosts, Output, Sandbox, counted, until};
use crate::shop::says;

const HOSTS: [&str; 4] = ["h1", "h2", "h3", "h4"];

/// A project for the four hosts, and the hosts.
struct Shop {
    hosts: BootedHosts,
    sandbox: Sandbox,
}

impl Shop {
    /// Boots the hosts and writes the project; nothing is released yet.
    fn start(test: &str) -> Option<Self> {
        let hosts = BootedHosts::start(HOSTS.len(), test)?;
        let shop = Self { hosts, sandbox: Sandbox::new() };
        shop.sandbox
            .write("batou.toml", "[project]\nname = \"shop\"\n")
            .write("ssh_config", shop.hosts.ssh_config());
        shop.environment("service_user = \"shop\"", "");
        shop.greet("hello");
        shop.component("page", "[[file]]\npath = \"page\"\ncontent = \"a page\\n\"\n");
        Some(shop)
    }

    fn environment(&self, line: &str, more: &str) {
        let text = format!(
            "[environment]\n{line}\ntimeout = 5\nkeep = 2\n\n[hosts]\n\"h{{1..4}}\" = [\"web\"]\n\n{more}"
        );
        self.sandbox.write("environments/prod/environment.toml", text);
    }

    /// Adds components to a host.
    fn add(&self, host: &str, component: &str) {
        self.environment(
            "service_user = \"shop\"",
            &format!("[host.{host}]\ncomponents = [{component:?}]\n"),
        );
    }

    fn component(&self, name: &str, text: &str) {
        self.sandbox.write(&format!("components/{name}/component.toml"), text);
    }

    /// Every host's file says this.
    fn greet(&self, greeting: &str) {
        self.component(
            "web",
            "[[file]]\npath = \"greeting\"\n[[file]]\npath = \"same\"\ncontent = \"same\\n\"\n",
        );
        self.sandbox.write("components/web/greeting", format!("{greeting} from {{{{ host.name }}}}\n"));
    }

    /// A step that on one host takes long, unless somebody writes `ready` there.
    fn add_slow_step(&self, host: &str) {
        self.component(
            "slow",
            "[[step]]\nname = \"wait\"\nverify = \"test -e ready\"\nupdate = \"touch started; sleep 600\"\n\
             timeout = 1000\n",
        );
        self.add(host, "slow");
    }

    /// The same step, which now has nothing to wait for.
    fn quicken_step(&self) {
        self.component(
            "slow",
            "[[step]]\nname = \"wait\"\nverify = \"test -e ready\"\nupdate = \"touch ready\"\n",
        );
    }

    fn batou(&self, arguments: &[&str]) -> Output {
        self.hosts.batou(&self.sandbox, arguments)
    }

    /// The same, and what it says can be read meanwhile.
    fn batou_aloud(&self, arguments: &[&str]) -> Output {
        let said = File::create(self.sandbox.tmp().join("said")).unwrap();
        let mut output = Output::of(self.hosts.command(&self.sandbox, arguments).stderr(said));
        output.stderr = self.said();
        output
    }

    /// What it has said so far.
    fn said(&self) -> String {
        fs::read_to_string(self.sandbox.tmp().join("said")).unwrap()
    }

    /// The target directory of a host, as seen from here.
    fn target(&self, host: &str) -> PathBuf {
        self.hosts.root(host).join("srv/shop")
    }

    /// A file of what is in force on a host; `None` where there is none of that name.
    fn file(&self, host: &str, path: &str) -> Option<String> {
        fs::read_to_string(self.target(host).join("current").join(path)).ok()
    }

    /// These hosts have the release with this greeting.
    #[track_caller]
    fn greets(&self, hosts: &[&str], greeting: &str) {
        for host in hosts {
            let expected = format!("{greeting} from {host}\n");
            assert_eq!(self.file(host, "web/greeting"), Some(expected), "on {host}");
        }
    }

    /// Begins a switch, does something to the hosts once `holds`, and returns how the switch ended.
    fn switch_disturbed(&self, what: &str, holds: impl Fn() -> bool, disturb: impl FnOnce()) -> Output {
        thread::scope(|scope| {
            let switch = scope.spawn(|| self.batou(&["switch", "prod"]));
            until(what, || holds() || switch.is_finished());
            disturb();
            switch.join().unwrap()
        })
    }
}

#[test]
fn booted_hosts_get_releases_changes_and_rollbacks() {
    let Some(shop) = Shop::start("four hosts released to over SSH") else { return };
    shop.add("h2", "page");
    let first = shop.batou(&["switch", "prod"]).success();
    says(&first.stdout, &["is in force on 4 hosts"]);
    shop.greets(&HOSTS, "hello");
    assert_eq!(shop.file("h2", "page/page").as_deref(), Some("a page\n"));
    for host in HOSTS {
        let owner = shop.hosts.ssh(host, "stat -c %U /srv/shop /srv/shop/current/web/greeting").success();
        assert_eq!(owner.stdout, "shop\nshop\n");
    }
    says(&shop.batou(&["switch", "prod"]).success().stdout, &["nothing to do"]);

    shop.greet("good evening");
    let changed = shop.batou(&["switch", "prod"]).success();
    says(&changed.stdout, &["is in force on 4 hosts"]);
    shop.greets(&HOSTS, "good evening");
    shop.batou(&["verify", "prod"]).success();
    shop.batou(&["rollback", "prod"]).success();
    shop.greets(&HOSTS, "hello");

    shop.environment("service_user = \"shop\"", "");
    shop.batou(&["switch", "prod"]).success();
    shop.greets(&HOSTS, "good evening");
    assert_eq!(shop.file("h2", "page/page"), None, "the component is gone");
    collect(&shop);
}

/// Of what is not kept nothing is left on the hosts.
fn collect(shop: &Shop) {
    let artifacts = |host: &str| fs::read_dir(shop.target(host).join("store/artifacts")).unwrap().count();
    assert_eq!(artifacts("h2"), 3, "both greetings and the page are kept for a rollback");
    let text = shop.sandbox.read("environments/prod/environment.toml").replace("keep = 2", "keep = 1");
    shop.sandbox.write("environments/prod/environment.toml", text);
    says(&shop.batou(&["gc", "prod"]).success().stdout, &["h1", "h2", "h3", "h4"]);
    for host in HOSTS {
        assert_eq!(artifacts(host), 1, "{host} keeps what is in force and no more");
    }
    shop.batou(&["verify", "prod"]).success();
    shop.greets(&HOSTS, "good evening");
}

#[test]
fn booted_host_cut_off_while_it_is_staged_stops_the_release_everywhere() {
    let Some(shop) = Shop::start("a host cut off while it is staged") else { return };
    shop.batou(&["switch", "prod"]).success();
    shop.greet("never seen");
    // Bytes that do not compress, so many that the cable is pulled long before all have arrived.
    let noise: Vec<u8> =
        (0_u32..6 << 20).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..16].to_vec()).collect();
    shop.component("big", "[[file]]\npath = \"noise\"\ntemplate = false\n");
    shop.sandbox.write("components/big/noise", noise);
    shop.add("h2", "big");
    let arriving =
        || fs::read_dir(shop.target("h2").join("store/tmp")).is_ok_and(|mut entries| entries.any(|_| true));
    let cut = shop.switch_disturbed("objects arrive on h2", arriving, || shop.hosts.cut("h2")).fails(1);
    says(&cut.stderr, &["h2", "nothing was switched anywhere"]);
    shop.greets(&HOSTS, "hello");

    shop.hosts.heal("h2");
    shop.greet("good morning");
    let healed = Instant::now();
    shop.batou(&["switch", "prod"]).success();
    counted(&format!(
        "the next switch after a cut while staging took {:.1} s",
        healed.elapsed().as_secs_f64()
    ));
    shop.greets(&HOSTS, "good morning");
    assert_eq!(fs::metadata(shop.target("h2").join("current/big/noise")).unwrap().len(), 96 << 20);
}

#[test]
fn booted_host_cut_off_while_it_is_activated_goes_back_by_itself() {
    let Some(shop) = Shop::start("a host cut off while it is activated") else { return };
    shop.batou(&["switch", "prod"]).success();
    shop.greet("never committed");
    shop.add_slow_step("h3");
    let started = || shop.target("h3").join("state/slow/started").exists();
    let cut = shop
        .switch_disturbed("the step runs on h3", started, || {
            shop.greets(&HOSTS, "never committed");
            shop.hosts.cut("h3");
        })
        .fails(1);
    says(&cut.stdout, &["h1  went back", "h2  went back", "h3  goes back by itself", "h4  went back"]);
    shop.greets(&["h1", "h2", "h4"], "hello");

    let back = || !shop.target("h3").join("intent.json").exists();
    until("h3 has gone back by itself", back);
    shop.greets(&HOSTS, "hello");
    shop.hosts.heal("h3");
    says(&shop.batou(&["history", "prod", "--json"]).success().stdout, &["went-back"]);

    shop.quicken_step();
    shop.greet("good morning");
    shop.batou(&["switch", "prod"]).success();
    shop.greets(&HOSTS, "good morning");
}

#[test]
fn booted_host_that_crashes_while_it_is_activated_is_recovered_by_the_next_switch() {
    let Some(shop) = Shop::start("a host that crashes while it is activated") else { return };
    shop.batou(&["switch", "prod"]).success();
    shop.greet("never committed");
    shop.add_slow_step("h4");
    let started = || shop.target("h4").join("state/slow/started").exists();
    shop.switch_disturbed("the step runs on h4", started, || shop.hosts.crash("h4")).fails(1);
    shop.greets(&["h1", "h2", "h3"], "hello");
    shop.greets(&["h4"], "never committed");

    shop.hosts.boot("h4");
    shop.quicken_step();
    shop.greet("good morning");
    let next = shop.batou(&["switch", "prod"]).success();
    says(&next.stderr, &["h4: release", "was interrupted", "generation 1 is in force again"]);
    shop.greets(&HOSTS, "good morning");

    // One that is back soon enough is asked by the switch itself.
    shop.greet("not committed either");
    shop.component(
        "slow",
        "[[step]]\nname = \"again\"\nupdate = \"rm -f started; touch begun; sleep 600\"\ntimeout = 1000\n",
    );
    let begun = || shop.target("h4").join("state/slow/begun").exists();
    let reboot = || {
        shop.hosts.crash("h4");
        shop.hosts.boot("h4");
    };
    let rebooted = shop.switch_disturbed("the step runs on h4", begun, reboot).fails(1);
    says(&rebooted.stderr, &["4 hosts went back"]);
    shop.greets(&HOSTS, "good morning");
}

/// The host that is lost, and the phases in which it is.
const LOST: &str = "h4";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LostIn {
    /// It crashes while a rollback still reverts a step of another host.
    Switch,
    /// Its cable is pulled when it has said that it could commit, and another host has not yet.
    Preparation,
    /// It crashes when the others have committed, and it has not.
    Commit,
}

impl Shop {
    /// A step on h2 that waits, the first time that it is updated and in its revert, until it is let go.
    fn add_held_step(&self, phase: LostIn) {
        let wait = |word: &str| format!("touch {word}; until test -e go; do sleep 0.1; done; rm {word} go");
        let (update, revert) = (wait("updates"), wait("reverts"));
        let update = format!("test -e {phase:?} && exit 0; touch {phase:?}; {update}");
        let step = format!(
            "[[step]]\nname = \"hold\"\nupdate = \"{update}\"\nrevert = \"{revert}\"\ntimeout = 1000\n"
        );
        self.component("held", &step);
        self.add("h2", "held");
    }

    fn let_go(&self) {
        self.hosts.ssh("h2", "sudo -u shop touch /srv/shop/state/held/go").success();
    }

    /// Begins the release, loses the host in the phase, and lets the release come to its end.
    fn release_and_lose(&self, phase: LostIn, greeting: &str) -> Output {
        let (command, word) =
            if phase == LostIn::Switch { ("rollback", "reverts") } else { ("switch", "updates") };
        let held = self.target("h2").join("state/held").join(word);
        thread::scope(|scope| {
            let release = scope.spawn(|| self.batou_aloud(&[command, "prod"]));
            until("the step runs", || held.exists());
            if phase == LostIn::Switch {
                self.hosts.crash(LOST);
                self.let_go();
                return release.join().unwrap();
            }
            // h1 does not answer to prepare until it may go on; the others do.
            self.hosts.signal_agents("h1", Signal::STOP);
            self.let_go();
            // Whoever has not answered for some time is named. The others were asked when h1 was.
            let names = |host: &str| self.said().contains(&format!("waiting for {host}: preparation"));
            until("h1 alone is waited for", || names("h1"));
            assert!(!HOSTS[1..].iter().any(|host| names(host)), "{}", self.said());
            if phase == LostIn::Preparation {
                self.hosts.cut(LOST);
                self.hosts.signal_agents("h1", Signal::CONT);
            } else {
                self.hosts.signal_agents(LOST, Signal::STOP);
                self.hosts.signal_agents("h1", Signal::CONT);
                let has_committed = || {
                    self.file("h1", "web/greeting").is_some_and(|text| text.starts_with(greeting))
                        && !self.target("h1").join("intent.json").exists()
                };
                until("another host has committed", has_committed);
                self.hosts.crash(LOST);
            }
            release.join().unwrap()
        })
    }
}

#[test]
fn booted_host_lost_in_each_other_phase_leaves_what_the_exit_status_says() {
    let Some(shop) = Shop::start("a host lost in each phase") else { return };
    let mut told = Vec::new();
    for phase in [LostIn::Switch, LostIn::Preparation, LostIn::Commit] {
        let (old, new) = (format!("before {phase:?}"), format!("after {phase:?}"));
        shop.greet(&old);
        shop.component("held", "[[file]]\npath = \"nothing\"\ncontent = \"\"\n");
        shop.batou(&["switch", "prod"]).success();
        shop.greet(&new);
        shop.add_held_step(phase);
        if phase == LostIn::Switch {
            let held = shop.target("h2").join("state/held/updates");
            shop.switch_disturbed("the step runs", || held.exists(), || shop.let_go()).success();
        }
        let output = shop.release_and_lose(phase, &new);
        let (before, after) = if phase == LostIn::Switch { (&new, &old) } else { (&old, &new) };
        let (statuses, status): (&[i32], _) = match phase {
            LostIn::Switch => (&[1], output.status.unwrap()),
            // By then the commit may have been sent to it.
            LostIn::Preparation => (&[1, 3], output.status.unwrap()),
            LostIn::Commit => (&[3], output.status.unwrap()),
        };
        assert!(statuses.contains(&status), "{phase:?}: {output:?}");
        shop.greets(&["h1", "h2", "h3"], if status == 1 { before } else { after });
        told.push((phase, status));
        if phase == LostIn::Preparation { shop.hosts.heal(LOST) } else { shop.hosts.boot(LOST) }
    }
    shop.greet("mended");
    shop.component("held", "[[file]]\npath = \"nothing\"\ncontent = \"\"\n");
    shop.batou(&["switch", "prod"]).success();
    shop.greets(&HOSTS, "mended");
    counted(&format!("one of four booted hosts lost in other phases: exit statuses {told:?}"));
}

#[test]
fn booted_hosts_without_the_user_or_its_rights_are_told_apart_before_anything_changes() {
    let Some(shop) = Shop::start("a missing service user, and no rights to become one") else { return };
    shop.environment("service_user = \"absent\"", "");
    let absent = shop.batou(&["switch", "prod"]).fails(1);
    says(&absent.stderr, &["h1", "h4", "useradd --create-home absent"]);

    shop.environment("service_user = \"deploy\"", "");
    shop.sandbox.write("ssh_config", shop.hosts.ssh_config().replace("User deploy", "User shop"));
    for host in HOSTS {
        let command = "sudo install -d -o shop -m 0700 ~shop/.ssh && \
                       sudo install -o shop -m 0600 ~/.ssh/authorized_keys ~shop/.ssh/authorized_keys";
        shop.hosts.ssh(host, command).success();
    }
    let refused = shop.batou(&["switch", "prod"]).fails(1);
    says(&refused.stderr, &["h1", "h4", "sudo does not let the login user become deploy"]);
    // Nor may who is the service user already make a folder in /srv.
    shop.environment("service_user = \"shop\"", "");
    let refused = shop.batou(&["switch", "prod"]).fails(1);
    says(&refused.stderr, &["h1", "h4", "the target directory cannot be created"]);
    for host in HOSTS {
        shop.hosts.ssh(host, "sudo rm -r ~shop/.ssh").success();
        assert!(!shop.target(host).exists(), "{host} was changed");
    }
}

#[test]
fn hosts_are_cleaned_of_what_is_mounted_on_them() {
    let Some(hosts) = BootedHosts::start(1, "hosts cleaned of mounts") else { return };
    hosts.ssh(
        "h1",
        "sudo sh -ec 'for path in /srv/shop \"/srv/a b/c\" /home/shop/shop /var/lib/batou; do mkdir -p \"$path\"; \
         mount -t tmpfs none \"$path\"; mkdir \"$path/inner\"; mount -t tmpfs none \"$path/inner\"; done; \
         mount -t tmpfs none /srv/shop; touch /srv/shop/file'",
    )
    .success();
    hosts.clean();
    let left = hosts
        .ssh("h1", "grep -c tmpfs.*/srv /proc/mounts; sudo ls -A /srv /var/lib /home/shop")
        .success()
        .stdout;
    assert!(left.starts_with("0\n"), "{left}");
    assert!(!left.contains("shop\n") && !left.contains("batou") && !left.contains("a b"), "{left}");
}
