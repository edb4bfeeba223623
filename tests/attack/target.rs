//! A host whose files somebody has changed, in each way that comes to mind: what a switch to the same release, a switch to a new
//! one and a rollback make of that. Each ends with files that are as released, or says what to do, and then that works.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::common::Sandbox;
use crate::shop::{self, Target, greet, says};

/// One kind of damage.
struct Damage {
    name: &'static str,
    /// What is done to the target directory.
    inflict: fn(&Path),
    outcome: Outcome,
}

enum Outcome {
    /// It is put right, and where that is not silent these words are printed.
    Mended(&'static str),
    /// It is put right by a switch; what a rollback would need is gone, and in these words it says which command does.
    Forgotten(&'static str, &'static [&'static str]),
    /// It stays, as nothing in force is touched by it.
    Harmless,
    /// Files in force are whole, and what is behind them only `verify` sees, whose `--repair` has it sent again. A release that
    /// needs it has, too.
    Behind,
    /// A switch says these words and journals what it releases. A rollback refuses in them, for want of a journal that tells
    /// what was before. What is left of the old journal is to be removed by hand if `verify` is to pass again.
    Unjournaled(&'static str, Option<fn(&Path)>),
    /// The command refuses in these words, and goes on once what they say has been done.
    Refused(&'static str, fn(&Path)),
}

use Outcome::{Behind, Forgotten, Harmless, Mended, Refused, Unjournaled};

/// What is in a folder that may be read-only is removed, too.
fn remove(path: &Path) {
    let removed =
        Command::new("sh").arg("-c").arg("chmod -R u+w \"$0\" 2>/dev/null; rm -rf \"$0\"").arg(path).status();
    assert!(removed.unwrap().success());
}

fn file(path: PathBuf) {
    remove(&path);
    fs::write(path, "somebody's").unwrap();
}

fn folder(path: PathBuf) {
    remove(&path);
    fs::create_dir(path).unwrap();
}

fn link(path: PathBuf, to: &str) {
    remove(&path);
    symlink(to, path).unwrap();
}

/// A pipe, a socket or a device: whoever opens or reads one as a file may wait for ever.
fn special(path: PathBuf, kind: FileType) {
    remove(&path);
    if kind == FileType::CharacterDevice {
        // To make a device is root's right, and to link to one everybody's.
        return symlink("/dev/zero", path).unwrap();
    }
    mknodat(CWD, path, kind, Mode::RWXU, 0).unwrap();
}

fn pipe(path: PathBuf) {
    special(path, FileType::Fifo);
}

fn socket(path: PathBuf) {
    special(path, FileType::Socket);
}

fn device(path: PathBuf) {
    special(path, FileType::CharacterDevice);
}

/// Makes each file of a folder one of these, in turn.
fn each_special(path: PathBuf) {
    for (entry, change) in fs::read_dir(path).unwrap().zip([pipe, socket, device].into_iter().cycle()) {
        change(entry.unwrap().path());
    }
}

/// Changes each file of a folder.
fn each(path: PathBuf, change: fn(PathBuf)) {
    for entry in fs::read_dir(path).unwrap() {
        change(entry.unwrap().path());
    }
}

fn aside(target: &Path, name: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    fs::rename(target.join(name), target.join(format!("aside-{number}"))).unwrap();
}

/// Leaves the lines of the journal that say, or do not say, this.
fn keep_lines(target: &Path, keep: impl Fn(&str) -> bool) {
    let path = target.join("journal");
    let text = fs::read_to_string(&path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect();
    fs::write(path, kept.concat()).unwrap();
}

/// The folder that `current` names.
fn generation(target: &Path) -> PathBuf {
    target.join(fs::read_link(target.join("current")).unwrap())
}

/// The artifact of `app` in force, made writable.
fn app(target: &Path) -> PathBuf {
    let path = fs::canonicalize(target.join("current/app")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

const DAMAGES: &[Damage] = &[
    Damage {
        name: "store/lock removed",
        inflict: |t| remove(&t.join("store/lock")),
        outcome: Mended("store/lock"),
    },
    Damage {
        name: "store/publish removed",
        inflict: |t| remove(&t.join("store/publish")),
        outcome: Mended("store/publish"),
    },
    Damage {
        name: "store/tmp removed",
        inflict: |t| remove(&t.join("store/tmp")),
        outcome: Mended("store/tmp"),
    },
    Damage {
        name: "store/leases removed",
        inflict: |t| remove(&t.join("store/leases")),
        outcome: Mended("store/leases"),
    },
    Damage {
        name: "store/roots removed",
        inflict: |t| remove(&t.join("store/roots")),
        outcome: Mended("store/roots"),
    },
    Damage {
        name: "store/trees removed",
        inflict: |t| remove(&t.join("store/trees")),
        outcome: Mended("store/trees"),
    },
    Damage {
        name: "store/blobs removed",
        inflict: |t| remove(&t.join("store/blobs")),
        outcome: Mended("store/blobs"),
    },
    Damage {
        name: "store/records removed",
        inflict: |t| remove(&t.join("store/records")),
        outcome: Mended("store/records"),
    },
    Damage {
        name: "store/stats removed",
        inflict: |t| remove(&t.join("store/stats")),
        outcome: Mended("store/stats"),
    },
    Damage {
        name: "store/artifacts removed",
        inflict: |t| remove(&t.join("store/artifacts")),
        outcome: Mended("app/"),
    },
    Damage { name: "store removed", inflict: |t| remove(&t.join("store")), outcome: Mended("") },
    Damage {
        name: "store/format removed",
        inflict: |t| remove(&t.join("store/format")),
        outcome: Mended("store was damaged, and was mended: format"),
    },
    Damage {
        name: "store/format garbage",
        inflict: |t| file(t.join("store/format")),
        outcome: Mended("format"),
    },
    Damage {
        name: "store/format a folder",
        inflict: |t| folder(t.join("store/format")),
        outcome: Mended("format"),
    },
    Damage { name: "store/tmp a file", inflict: |t| file(t.join("store/tmp")), outcome: Harmless },
    Damage { name: "store/blobs a file", inflict: |t| file(t.join("store/blobs")), outcome: Harmless },
    Damage {
        name: "store a file",
        inflict: |t| file(t.join("store")),
        outcome: Refused("is no folder: move it away", |t| aside(t, "store")),
    },
    Damage {
        name: "store a link to a folder of somebody's",
        inflict: |t| link(t.join("store"), "/usr"),
        outcome: Refused("move it away, or the link to it", |t| aside(t, "store")),
    },
    Damage { name: "trees garbage", inflict: |t| each(t.join("store/trees"), file), outcome: Behind },
    Damage { name: "trees folders", inflict: |t| each(t.join("store/trees"), folder), outcome: Behind },
    Damage { name: "records garbage", inflict: |t| each(t.join("store/records"), file), outcome: Behind },
    Damage {
        name: "records folders",
        inflict: |t| each(t.join("store/records"), folder),
        outcome: Mended(""),
    },
    Damage { name: "blobs folders", inflict: |t| each(t.join("store/blobs"), folder), outcome: Harmless },
    Damage {
        name: "stat records garbage",
        inflict: |t| each(t.join("store/stats"), file),
        outcome: Mended("store/stats/"),
    },
    Damage {
        name: "stat records folders",
        inflict: |t| each(t.join("store/stats"), folder),
        outcome: Mended("store/stats/"),
    },
    Damage {
        name: "strangers in the store",
        inflict: |t| {
            for name in ["notes", "trees/notes", "blobs/notes", "records/notes", "tmp/notes", "stats/notes"] {
                fs::write(t.join("store").join(name), "x").unwrap();
            }
        },
        outcome: Harmless,
    },
    Damage {
        name: "a generation's number a file",
        inflict: |t| file(t.join("generations/1000")),
        outcome: Harmless,
    },
    Damage {
        name: "a generation that nobody made",
        inflict: |t| folder(t.join("generations/2000")),
        outcome: Harmless,
    },
    Damage {
        name: "a number beyond all",
        inflict: |t| folder(t.join("generations/99999999999999999999")),
        outcome: Harmless,
    },
    Damage {
        name: "generations a file",
        inflict: |t| file(t.join("generations")),
        outcome: Refused("is no folder: move it away", |t| aside(t, "generations")),
    },
    Damage {
        name: "generations removed",
        inflict: |t| remove(&t.join("generations")),
        outcome: Forgotten("so somebody has removed its generation there", &["switch", "dev"]),
    },
    Damage {
        name: "the manifest removed",
        inflict: |t| remove(&generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the manifest garbage",
        inflict: |t| file(generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the causes removed",
        inflict: |t| remove(&generation(t).join("causes.json")),
        outcome: Harmless,
    },
    Damage {
        name: "a generation's link removed",
        inflict: |t| remove(&generation(t).join("app")),
        outcome: Mended("/app"),
    },
    Damage {
        name: "a generation's link a folder",
        inflict: |t| folder(generation(t).join("app")),
        outcome: Mended("/app"),
    },
    Damage {
        name: "current removed",
        inflict: |t| remove(&t.join("current")),
        outcome: Mended("as the journal says"),
    },
    Damage {
        name: "current dangling",
        inflict: |t| link(t.join("current"), "generations/99"),
        outcome: Mended("`current` led to generations/99"),
    },
    Damage {
        name: "current absolute",
        inflict: |t| link(t.join("current"), "/usr"),
        outcome: Mended("`current` led to /usr"),
    },
    Damage {
        name: "current a loop",
        inflict: |t| link(t.join("current"), "current"),
        outcome: Mended("`current` led to current"),
    },
    Damage {
        name: "current a folder",
        inflict: |t| folder(t.join("current")),
        outcome: Refused("move it away", |t| aside(t, "current")),
    },
    Damage {
        name: "current a file",
        inflict: |t| file(t.join("current")),
        outcome: Refused("move it away", |t| aside(t, "current")),
    },
    Damage {
        name: "intent.json a folder",
        inflict: |t| folder(t.join("intent.json")),
        outcome: Refused("is a folder: move it away", |t| aside(t, "intent.json")),
    },
    Damage {
        name: "intent.json garbage",
        inflict: |t| file(t.join("intent.json")),
        outcome: Refused("remove this file", |t| remove(&t.join("intent.json"))),
    },
    Damage {
        name: "running.json a folder",
        inflict: |t| folder(t.join("running.json")),
        outcome: Mended("running.json could not be read, and was removed"),
    },
    Damage {
        name: "running.json garbage",
        inflict: |t| file(t.join("running.json")),
        outcome: Mended("running.json could not be read, and was removed"),
    },
    Damage {
        name: "running.json empty",
        inflict: |t| fs::write(t.join("running.json"), "").unwrap(),
        outcome: Mended("running.json could not be read, and was removed"),
    },
    Damage {
        name: "activated.json removed",
        inflict: |t| remove(&t.join("activated.json")),
        outcome: Mended("initialise"),
    },
    Damage {
        name: "activated.json a folder",
        inflict: |t| folder(t.join("activated.json")),
        outcome: Refused("is a folder: move it away", |t| aside(t, "activated.json")),
    },
    Damage {
        name: "activated.json garbage",
        inflict: |t| file(t.join("activated.json")),
        outcome: Refused(
            "activated.json, which says which steps have run, is damaged on localhost; nothing was changed",
            |t| {
                remove(&t.join("activated.json"));
            },
        ),
    },
    Damage {
        name: "activated.json empty",
        inflict: |t| fs::write(t.join("activated.json"), "").unwrap(),
        outcome: Refused(
            "activated.json, which says which steps have run, is damaged: remove that file",
            |t| {
                remove(&t.join("activated.json"));
            },
        ),
    },
    Damage {
        name: "state removed",
        inflict: |t| remove(&t.join("state")),
        outcome: Mended("state/app, state/db were gone, with all data of those components, and empty now"),
    },
    Damage {
        name: "state/db a file",
        inflict: |t| file(t.join("state/db")),
        outcome: Refused("state/db is no folder: move it away", |t| aside(t, "state/db")),
    },
    Damage {
        name: "state/db a link to nothing",
        inflict: |t| link(t.join("state/db"), "nowhere"),
        outcome: Refused("state/db is no folder: move it away", |t| aside(t, "state/db")),
    },
    Damage { name: "lock removed", inflict: |t| remove(&t.join("lock")), outcome: Harmless },
    Damage {
        name: "lock a folder",
        inflict: |t| folder(t.join("lock")),
        outcome: Refused("is a folder: move it away", |t| aside(t, "lock")),
    },
    Damage {
        name: "a torn line in the journal",
        inflict: |t| {
            let journal = fs::read(t.join("journal")).unwrap();
            fs::write(t.join("journal"), [&journal[..], &b"{\"release\":"[..]].concat()).unwrap();
        },
        outcome: Harmless,
    },
    Damage {
        name: "an older copy of the journal",
        inflict: |t| {
            let number = generation(t).file_name().unwrap().to_str().unwrap().to_owned();
            keep_lines(t, |line| !line.contains(&format!("\"to\":{number},")));
        },
        outcome: Unjournaled("its journal is an older copy: it ends with release", None),
    },
    Damage {
        name: "journal removed",
        inflict: |t| remove(&t.join("journal")),
        outcome: Unjournaled("its journal is missing, although generation", None),
    },
    Damage {
        name: "journal empty",
        inflict: |t| fs::write(t.join("journal"), "").unwrap(),
        outcome: Unjournaled("its journal is empty, although generation", None),
    },
    Damage {
        name: "journal garbage",
        inflict: |t| file(t.join("journal")),
        outcome: Unjournaled(
            "its journal cannot be read from line 1 on, although generation",
            Some(|t| keep_lines(t, |line| line != "somebody's")),
        ),
    },
    Damage {
        name: "the journal's last line garbage",
        inflict: |t| {
            let text = fs::read_to_string(t.join("journal")).unwrap();
            let last = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
            fs::write(t.join("journal"), format!("{}garbage\n", &text[..last])).unwrap();
        },
        outcome: Unjournaled(
            "its journal cannot be read from line",
            Some(|t| keep_lines(t, |line| line != "garbage")),
        ),
    },
    Damage {
        name: "journal a link to nothing",
        inflict: |t| link(t.join("journal"), "nowhere/journal"),
        outcome: Refused("journal is a link to nothing: remove it", |t| remove(&t.join("journal"))),
    },
    Damage {
        name: "journal a folder",
        inflict: |t| folder(t.join("journal")),
        outcome: Refused("journal is a folder: move it away", |t| aside(t, "journal")),
    },
    Damage {
        name: "journal a pipe",
        inflict: |t| pipe(t.join("journal")),
        outcome: Refused("journal is no regular file: move it away", |t| aside(t, "journal")),
    },
    Damage {
        name: "lock a pipe",
        inflict: |t| pipe(t.join("lock")),
        outcome: Refused("lock is no regular file: move it away", |t| aside(t, "lock")),
    },
    Damage {
        name: "intent.json a pipe",
        inflict: |t| pipe(t.join("intent.json")),
        outcome: Refused("intent.json is no regular file: move it away", |t| aside(t, "intent.json")),
    },
    Damage {
        name: "activated.json a pipe",
        inflict: |t| pipe(t.join("activated.json")),
        outcome: Refused("activated.json is no regular file: move it away", |t| aside(t, "activated.json")),
    },
    Damage {
        name: "running.json a pipe",
        inflict: |t| pipe(t.join("running.json")),
        outcome: Mended("running.json could not be read, and was removed"),
    },
    Damage { name: "store/lock a pipe", inflict: |t| pipe(t.join("store/lock")), outcome: Harmless },
    Damage {
        name: "store/format a pipe",
        inflict: |t| pipe(t.join("store/format")),
        outcome: Mended("format"),
    },
    Damage {
        name: "store/publish a socket",
        inflict: |t| socket(t.join("store/publish")),
        outcome: Harmless,
    },
    Damage { name: "store/lock a device", inflict: |t| device(t.join("store/lock")), outcome: Harmless },
    Damage { name: "store/tmp a pipe", inflict: |t| pipe(t.join("store/tmp")), outcome: Harmless },
    Damage { name: "a lease a pipe", inflict: |t| pipe(t.join("store/leases/lease-1")), outcome: Harmless },
    Damage {
        name: "trees pipes, sockets and devices",
        inflict: |t| each_special(t.join("store/trees")),
        outcome: Behind,
    },
    Damage { name: "store/leases a socket", inflict: |t| socket(t.join("store/leases")), outcome: Harmless },
    Damage {
        name: "records pipes, sockets and devices",
        inflict: |t| each_special(t.join("store/records")),
        outcome: Mended(""),
    },
    Damage {
        name: "blobs pipes, sockets and devices",
        inflict: |t| each_special(t.join("store/blobs")),
        outcome: Harmless,
    },
    Damage {
        name: "stat records pipes, sockets and devices",
        inflict: |t| each_special(t.join("store/stats")),
        outcome: Mended("store/stats/"),
    },
    Damage {
        name: "the manifest a folder",
        inflict: |t| folder(generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the manifest a pipe",
        inflict: |t| pipe(generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the manifest a socket",
        inflict: |t| socket(generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the manifest a device",
        inflict: |t| device(generation(t).join("manifest.json")),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "the causes a pipe",
        inflict: |t| pipe(generation(t).join("causes.json")),
        outcome: Harmless,
    },
    Damage {
        name: "a generation's link a pipe",
        inflict: |t| pipe(generation(t).join("app")),
        outcome: Mended("/app"),
    },
    Damage {
        name: "a generation a pipe",
        inflict: |t| pipe(generation(t)),
        outcome: Forgotten("restore it all the same with --force", &["rollback", "dev", "--force"]),
    },
    Damage {
        name: "a generation's number a socket",
        inflict: |t| socket(t.join("generations/3000")),
        outcome: Harmless,
    },
    Damage {
        name: "current a pipe",
        inflict: |t| pipe(t.join("current")),
        outcome: Refused("move it away", |t| aside(t, "current")),
    },
    Damage {
        name: "state/db a socket",
        inflict: |t| socket(t.join("state/db")),
        outcome: Refused("state/db is no folder: move it away", |t| aside(t, "state/db")),
    },
    Damage {
        name: "lock a socket",
        inflict: |t| socket(t.join("lock")),
        outcome: Refused("lock is no regular file: move it away", |t| aside(t, "lock")),
    },
    Damage {
        name: "journal a device",
        inflict: |t| device(t.join("journal")),
        outcome: Refused("journal is no regular file: move it away", |t| aside(t, "journal")),
    },
    Damage {
        name: "intent.json a device",
        inflict: |t| device(t.join("intent.json")),
        outcome: Refused("intent.json is no regular file: move it away", |t| aside(t, "intent.json")),
    },
    Damage {
        name: "activated.json a socket",
        inflict: |t| socket(t.join("activated.json")),
        outcome: Refused("activated.json is no regular file: move it away", |t| aside(t, "activated.json")),
    },
    Damage {
        name: "running.json a device",
        inflict: |t| device(t.join("running.json")),
        outcome: Mended("running.json could not be read, and was removed"),
    },
    Damage {
        name: "the reserve's room a pipe",
        inflict: |t| pipe(t.join("reserve/room")),
        outcome: Harmless,
    },
    Damage { name: "reserve a pipe", inflict: |t| pipe(t.join("reserve")), outcome: Harmless },
    Damage {
        name: "a file a socket",
        inflict: |t| socket(app(t).join("app.conf")),
        outcome: Mended("app/app.conf"),
    },
    Damage {
        name: "a file a device",
        inflict: |t| device(app(t).join("app.conf")),
        outcome: Mended("app/app.conf"),
    },
    Damage { name: "reserve removed", inflict: |t| remove(&t.join("reserve")), outcome: Harmless },
    Damage { name: "reserve a file", inflict: |t| file(t.join("reserve")), outcome: Harmless },
    Damage {
        name: "a file edited",
        inflict: |t| {
            let path = app(t).join("app.conf");
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            fs::write(path, "hacked").unwrap();
        },
        outcome: Mended("app/app.conf"),
    },
    Damage {
        name: "a file removed",
        inflict: |t| remove(&app(t).join("app.conf")),
        outcome: Mended("app/app.conf"),
    },
    Damage {
        name: "a file a fifo",
        inflict: |t| {
            pipe(app(t).join("app.conf"));
        },
        outcome: Mended("app/app.conf"),
    },
    Damage {
        name: "a file a folder",
        inflict: |t| folder(app(t).join("app.conf")),
        outcome: Mended("app/app.conf"),
    },
    Damage {
        name: "a stranger among the files",
        inflict: |t| file(app(t).join("zz.conf")),
        outcome: Mended("app/zz.conf"),
    },
    Damage {
        name: "a folder that nobody may enter",
        inflict: |t| fs::set_permissions(app(t), Permissions::from_mode(0o0)).unwrap(),
        outcome: Mended("app/"),
    },
    Damage { name: "an artifact removed", inflict: |t| remove(&app(t)), outcome: Mended("app/") },
    Damage { name: "an artifact a link", inflict: |t| link(app(t), "/usr"), outcome: Mended("app/") },
];

/// What is done on a host that has been damaged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    SwitchSame,
    SwitchNew,
    Rollback,
}

/// The shop, and how many greetings it has had.
struct Shop {
    sandbox: Sandbox,
    target: Target,
    greetings: usize,
}

impl Shop {
    fn new() -> Self {
        let sandbox = shop::local();
        let target = Target::local(&sandbox);
        let mut shop = Self { sandbox, target, greetings: 0 };
        shop.release();
        shop
    }

    fn release(&mut self) {
        self.greetings += 1;
        greet(&self.sandbox, &self.greetings.to_string());
        self.sandbox.batou(&["switch", "dev"]).success();
    }

    /// Inflicts the damage, orders, and looks whether everything is as released.
    fn suffer(&mut self, damage: &Damage, order: Order) {
        if order == Order::Rollback {
            self.release();
        }
        (damage.inflict)(&self.target.0);
        let mut expected = self.greetings;
        let arguments = match order {
            Order::SwitchSame => ["switch", "dev"],
            Order::SwitchNew => {
                self.greetings += 1;
                expected = self.greetings;
                greet(&self.sandbox, &expected.to_string());
                ["switch", "dev"]
            }
            Order::Rollback => {
                expected -= 1;
                ["rollback", "dev"]
            }
        };
        let mut output = self.sandbox.batou(&arguments);
        if let Refused(told, remedy) = damage.outcome {
            let stderr = output.fails(1).stderr;
            says(&stderr, &[told]);
            remedy(&self.target.0);
            // What is in the way is gone, and with it perhaps what a rollback would go back to.
            output = self.sandbox.batou(&arguments);
            if order == Order::Rollback && output.status != Some(0) {
                output = self.sandbox.batou(&["switch", "dev"]);
                expected = self.greetings;
            }
        }
        if let (Forgotten(told, instead), Order::Rollback) = (&damage.outcome, order) {
            says(&output.fails(1).stderr, &[told]);
            output = self.sandbox.batou(instead);
            expected = if instead[0] == "switch" { self.greetings } else { expected };
        }
        if let (Unjournaled(told, _), Order::Rollback) = (&damage.outcome, order) {
            says(&output.fails(1).stderr, &[told, "nothing was changed", "`batou switch dev`"]);
            output = self.sandbox.batou(&["switch", "dev"]);
            expected = self.greetings;
        }
        let output = output.success();
        if let (Unjournaled(told, _), Order::SwitchSame | Order::SwitchNew) = (&damage.outcome, order) {
            says(&output.stderr, &[told]);
        }
        if let Unjournaled(_, Some(remedy)) = &damage.outcome {
            let found = self.sandbox.batou(&["verify", "dev"]).fails(1);
            says(&found.stdout, &["so it counts for nothing: mend it, or remove that line"]);
            assert!(!found.stderr.contains("--repair"), "{found:?}");
            remedy(&self.target.0);
        }
        if let (Mended(told), Order::SwitchSame) = (&damage.outcome, order) {
            says(&(output.stdout + &output.stderr), &[told]);
        }
        assert_eq!(self.target.file("app/app.conf"), format!("{expected} on localhost\n"));
        if matches!(damage.outcome, Behind) && order == Order::SwitchSame {
            let collected = self.sandbox.batou(&["gc", "dev"]).success();
            says(&collected.stderr, &["the store is damaged: ", "/store/", "`batou verify dev --repair`"]);
            self.sandbox.batou(&["verify", "dev"]).fails(1);
            self.sandbox.batou(&["verify", "dev", "--repair"]).success();
        }
        self.sandbox.batou(&["verify", "dev"]).success();
        if order == Order::Rollback {
            self.release();
        } else {
            says(&self.sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
        }
    }
}

/// What is said is done literally.
#[test]
fn a_damaged_manifest_is_named_by_every_command_and_made_anew_by_a_switch() {
    let mut shop = Shop::new();
    shop.release();
    let number = shop.target.generation().unwrap();
    let name = format!("generations/{number}/manifest.json");
    fs::write(shop.target.0.join(&name), "{").unwrap();
    let run = |arguments: &[&str]| shop.sandbox.batou(arguments);
    for command in ["status", "plan", "history"] {
        let told = run(&[command, "dev"]).success().stderr;
        says(&told, &["localhost: the file", &name, "`batou switch dev` makes another generation"]);
    }
    says(&run(&["status", "dev"]).success().stdout, &[&format!("generation {number}, "), &name]);
    says(&run(&["rollback", "dev"]).fails(1).stderr, &[&name, "`batou switch dev`", "then roll back"]);
    says(&run(&["switch", "dev"]).success().stderr, &[&name]);
    assert_eq!(run(&["status", "dev"]).success().stderr, "");
    run(&["rollback", "dev"]).success();
    assert_eq!(shop.target.file("app/app.conf"), "1 on localhost\n");
}

fn all(order: Order, what: &str) {
    let mut shop = Shop::new();
    for damage in DAMAGES {
        println!("{what}: {}", damage.name);
        shop.suffer(damage, order);
    }
    println!("{what}: {} kinds of damage", DAMAGES.len());
}

#[test]
fn a_switch_to_the_same_release_puts_right_what_was_changed() {
    all(Order::SwitchSame, "switch to the same release");
}

#[test]
fn a_switch_to_a_new_release_puts_right_what_was_changed() {
    all(Order::SwitchNew, "switch to a new release");
}

#[test]
fn a_rollback_puts_right_what_was_changed() {
    all(Order::Rollback, "rollback");
}
