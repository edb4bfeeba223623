//! One host, the machine that batou runs on: every command, and what it leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::common::{Output, Sandbox};
use crate::shop::{self, Target, count, greet, listing, names, says};

/// The shop, released once.
fn released() -> (Sandbox, Target) {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    let target = Target::local(&sandbox);
    (sandbox, target)
}

/// The shop, released with `app` greeting "one", "two" and "three".
fn released_thrice() -> (Sandbox, Target) {
    let (sandbox, target) = released();
    for greeting in ["two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    (sandbox, target)
}

/// The one release in the output of `batou history --json` that is in force.
fn releases(sandbox: &Sandbox) -> Vec<(u64, String)> {
    let history = sandbox.batou(&["history", "dev", "--json"]).success();
    let release = |line: serde_json::Value| {
        let id = line["release"].as_str().unwrap().to_owned();
        (line["sequence"].as_u64().unwrap(), id)
    };
    history.json().into_iter().map(release).collect()
}

#[test]
fn the_first_switch_puts_files_in_force_and_runs_steps() {
    let sandbox = shop::local();
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["localhost  released", "release 1 (", "is in force on 1 host"]);
    says(&output.stderr, &["staged ", "objects", "localhost/db: ran initialise"]);

    let target = Target::local(&sandbox);
    assert_eq!(target.generation(), Some(1));
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
    let state = target.0.join("state/db");
    assert_eq!(target.file("db/db.conf"), format!("data = {}\n", state.display()));
    assert_eq!(names(&state), ["initialised"]);
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(target.results(), ["1 committed"]);
    let script = target.0.join("current/app/run.sh");
    assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o7777, 0o555);
    assert_eq!(Output::of(sandbox.program(script).arg("")).success().stdout, "one on localhost\n");
}

#[test]
fn a_second_switch_does_nothing() {
    let (sandbox, target) = released();
    let before = target.listing();
    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["nothing to do"]);
    assert_eq!(output.stderr, "");
    assert_eq!(target.listing(), before);
}

#[test]
fn a_changed_template_changes_its_component_only() {
    let (sandbox, target) = released();
    let (app, db) = (target.artifact("app"), target.artifact("db"));
    let blobs = count(&target.0.join("store/blobs"));
    greet(&sandbox, "two");
    let output = sandbox.batou(&["switch", "dev"]).success();

    says(&output.stderr, &["staged 3 objects"]);
    assert_eq!(count(&target.0.join("store/blobs")), blobs + 1);
    assert_eq!(target.generation(), Some(2));
    assert_eq!(target.file("app/app.conf"), "two on localhost\n");
    assert_eq!(fs::read_to_string(app.join("app.conf")).unwrap(), "one on localhost\n");
    assert_ne!(target.artifact("app"), app);
    assert_eq!(target.artifact("db"), db);
    assert_eq!(target.journal()[1]["runs"], json!(null), "no step had to run again");
}

#[test]
fn a_file_that_cannot_be_written_is_bad_input_to_every_command_that_writes_one() {
    let sandbox = shop::local();
    for command in [&["plan", "dev"][..], &["store", "export", "dev"]] {
        for (file, why) in
            [("none/file", "No such file or directory"), ("batou.toml/file", "Not a directory")]
        {
            let output = sandbox.batou(&[command, &["-o", file]].concat()).fails(2);
            assert_eq!(output.stdout, "", "nothing was asked or built before");
            says(&output.stderr, &[&format!("error: {file} cannot be written\n"), why]);
        }
    }
}

#[test]
fn a_rollback_restores_exactly_and_once_more_goes_further_back() {
    let (sandbox, target) = released_thrice();
    greet(&sandbox, "{{ not evaluated");
    let output = sandbox.batou(&["rollback", "dev"]).success();
    says(&output.stdout, &["release 4 (", "as in release 2"]);
    assert!(!output.stderr.contains("staged"), "{}", output.stderr);
    assert_eq!((target.file("app/app.conf").as_str(), target.generation()), ("two on localhost\n", Some(2)));

    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!((target.file("app/app.conf").as_str(), target.generation()), ("one on localhost\n", Some(1)));

    let before = target.listing();
    says(&sandbox.batou(&["rollback", "dev"]).fails(1).stderr, &["no release was in force before"]);
    assert_eq!(target.listing(), before);
    assert_eq!(target.results().last().unwrap(), "5 committed");

    greet(&sandbox, "three");
    let output = sandbox.batou(&["switch", "dev"]).success();
    assert!(!output.stderr.contains("staged"), "all of it was still there: {}", output.stderr);
    assert_eq!(
        (target.file("app/app.conf").as_str(), target.generation()),
        ("three on localhost\n", Some(3))
    );
}

#[test]
fn a_rollback_goes_to_the_release_that_is_named() {
    let (sandbox, target) = released_thrice();
    let first = releases(&sandbox).pop().unwrap().1;
    sandbox.batou(&["rollback", "dev", "--to", &first[..8]]).success();
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
    sandbox.batou(&["rollback", "dev", "--to", "3"]).success();
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
    let before = target.listing();
    says(&sandbox.batou(&["rollback", "dev", "--to", "99"]).fails(2).stderr, &["\"99\"", "batou history"]);
    assert_eq!(target.listing(), before);
}

#[test]
fn a_removed_component_is_gone_and_its_state_stays() {
    let (sandbox, target) = released();
    let environment = sandbox.read("environments/dev/environment.toml");
    sandbox.write("environments/dev/environment.toml", environment.replace(", \"db\"", ""));
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(names(&target.0.join("current")), ["app", "causes.json", "manifest.json"]);
    assert_eq!(names(&target.0.join("state/db")), ["initialised"]);
    sandbox.batou(&["rollback", "dev"]).success();
    assert!(target.file("db/db.conf").contains("data = "));
}

#[test]
fn only_as_many_releases_are_kept_as_asked_for() {
    let (sandbox, target) = released();
    shop::set(&sandbox, "keep = 2");
    let first = target.artifact("app");
    for greeting in ["two", "three", "four"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    assert_eq!(target.generations(), [3, 4]);
    assert!(!first.exists());
    let blobs = walk_text(&target.0.join("store/blobs"));
    assert!(!blobs.contains("one on localhost") && blobs.contains("three on localhost"), "{blobs}");
    says(&sandbox.batou(&["rollback", "dev", "--to", "1"]).fails(1).stderr, &["keep"]);
    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
}

#[test]
fn gc_leaves_what_is_linked_or_recent_in_the_controllers_store() {
    let (sandbox, target) = released();
    shop::set(&sandbox, "keep = 1");
    sandbox.batou(&["build", "dev"]).success();
    for greeting in ["two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    let texts = || walk_text(&sandbox.store().join("blobs"));
    says(&texts(), &["one on localhost", "two on localhost", "three on localhost"]);
    let freed = sandbox.batou(&["gc", "--json"]).success().json();
    assert_eq!((&freed[0]["artifacts"], &freed[0]["blobs"]), (&json!(1), &json!(1)));
    says(&texts(), &["one on localhost", "three on localhost"]);
    assert!(!texts().contains("two on localhost"), "nothing names it any more");
    fs::remove_dir_all(sandbox.project().join("result")).unwrap();
    sandbox.batou(&["gc", "dev"]).success();
    assert!(!texts().contains("one on localhost"), "its link is gone");
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
}

/// The texts of all small files below a folder.
fn walk_text(folder: &Path) -> String {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    files.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).collect()
}

#[test]
fn a_build_names_and_links_what_it_made() {
    let sandbox = shop::local();
    let lines = sandbox.batou(&["build", "dev", "--json"]).success().json();
    let ids: Vec<_> = lines.iter().filter_map(|line| line["component"].as_str()).collect();
    assert_eq!(ids, ["app", "db"]);
    let path = PathBuf::from(lines[0]["path"].as_str().unwrap());
    let name = format!("{}-app", &lines[0]["artifact"].as_str().unwrap()[..40]);
    assert_eq!(path, sandbox.store().join("artifacts").join(name));
    assert_eq!(fs::canonicalize(sandbox.project().join("result/dev/localhost/app")).unwrap(), path);
    assert_eq!(sandbox.read("result/dev/localhost/app/app.conf"), "one on localhost\n");
    assert!(!sandbox.project().join("work").exists(), "a build releases nothing");
}

#[test]
fn an_unchanged_build_writes_nothing() {
    let sandbox = shop::local();
    sandbox.batou(&["build", "dev"]).success();
    let before = (listing(&sandbox.store()), listing(&sandbox.project().join("result")));
    let output = sandbox.batou(&["build", "dev"]).success();
    says(&output.stdout, &["0 artifacts built"]);
    assert_eq!((listing(&sandbox.store()), listing(&sandbox.project().join("result"))), before);
}

#[test]
fn a_part_of_an_environment_can_be_built() {
    let sandbox = shop::local();
    let output = sandbox.batou(&["build", "dev", "--component", "db", "--host", "localhost"]).success();
    says(&output.stdout, &["localhost/db"]);
    assert_eq!(names(&sandbox.project().join("result/dev/localhost")), ["db"]);
    says(&sandbox.batou(&["build", "dev", "--component", "dbb"]).fails(2).stderr, &["dbb"]);
}

#[test]
fn the_same_project_has_the_same_release_elsewhere() {
    let (one, other) = (shop::local(), shop::local());
    let ids = |sandbox: &Sandbox| {
        // The target directory is a part of the configuration, and a local one is below the project.
        shop::set(sandbox, "target_directory = \"/srv/shop\"");
        sandbox.batou(&["build"]).success();
        sandbox.batou(&["store", "ls", "--json"]).success().json()[0]["release"].clone()
    };
    assert_eq!(ids(&one), ids(&other));
}

/// A project whose files are written, and whose declarations stand, in this order or in the other one.
fn ordered(turn: impl Fn(Vec<String>) -> Vec<String>) -> Sandbox {
    let joined = |parts: &[&str]| turn(parts.iter().map(|part| (*part).to_owned()).collect()).concat();
    let web = joined(&[
        "[[file]]\npath = \"etc\"\n",
        "[[provide]]\nkey = \"web\"\nvalue = \"{{ host.name }}\"\n",
        "[attributes]\nb = 1\na = { type = \"dict\", default = { y = 1, x = 2 } }\n",
        "[[symlink]]\npath = \"state\"\nto = \"{{ component.state }}\"\n",
    ]);
    let lb = "[[require]]\nkey = \"web\"\n[[file]]\npath = \"lb\"\ncontent = \"{{ web | join(' ') }}\"\n";
    let environment = joined(&[
        "[components.\"web@b\"]\na = { z = 3 }\n",
        "[hosts]\na = [\"lb\", \"web\"]\nb = [\"web\"]\n",
        "[environment]\nconnect_method = \"ssh\"\n",
    ]);
    let files = [
        ("batou.toml", "[project]\nname = \"shop\"\n"),
        ("environments/prod/environment.toml", environment.as_str()),
        ("components/web/component.toml", &web),
        ("components/web/etc/one", "{{ component.a }}\n"),
        ("components/web/etc/two", "{% include 'part' %}\n"),
        ("components/web/part", "{{ component.b }}"),
        ("components/lb/component.toml", lb),
    ];
    let sandbox = Sandbox::new();
    let contents: std::collections::BTreeMap<&str, &str> = files.into();
    for path in turn(files.iter().map(|(path, _)| (*path).to_owned()).collect()) {
        sandbox.write(&path, contents[path.as_str()]);
    }
    sandbox
}

#[test]
fn the_order_of_files_and_declarations_is_no_part_of_a_release() {
    let id = |sandbox: &Sandbox| {
        let lines = sandbox.batou(&["build", "prod", "--json"]).success().json();
        lines.iter().find(|line| line["type"] == "built").expect("a release")["release"].clone()
    };
    let forth = id(&ordered(|parts| parts));
    let back = ordered(|mut parts| {
        parts.reverse();
        parts
    });
    assert_eq!(forth, id(&back));
    back.write("components/web/part", "{{ component.b }}!");
    assert_ne!(forth, id(&back));
}

#[test]
fn a_plan_and_a_dry_run_show_what_changes_and_change_nothing() {
    let (sandbox, target) = released();
    greet(&sandbox, "two");
    let before = target.listing();
    let plan = sandbox.batou(&["plan", "dev"]).success();
    says(
        &plan.stdout,
        &[
            "1 component to change",
            "~ app.conf  because attribute app.greeting changed",
            "-one on localhost",
            "+two on localhost",
        ],
    );
    assert_eq!(sandbox.batou(&["switch", "dev", "--dry-run"]).success().stdout, plan.stdout);
    let json = sandbox.batou(&["plan", "dev", "--json"]).success().json();
    assert_eq!(json[0]["components"][0]["files"][0]["because"], json!(["attribute app.greeting"]));
    assert_eq!(json[0]["missing"]["objects"], json!(3));
    let short = sandbox.batou(&["plan", "dev", "--diff", "short"]).success().stdout;
    assert!(short.contains("app.conf") && !short.contains("+two"), "{short}");
    assert_eq!(target.listing(), before);
}

#[test]
fn a_plan_before_the_first_release_makes_no_target_directory() {
    let sandbox = shop::local();
    let plan = sandbox.batou(&["plan", "dev"]).success();
    says(&plan.stdout, &["first release", "+ app (2 files)", "+ db (1 file)", "runs step initialise"]);
    assert!(!sandbox.project().join("work").exists());
}

#[test]
fn a_saved_plan_is_done_exactly() {
    let (sandbox, target) = released();
    greet(&sandbox, "two");
    sandbox.batou(&["plan", "dev", "-o", "two.plan"]).success();
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev", "--plan", "two.plan"]).success();
    assert_eq!(target.file("app/app.conf"), "two on localhost\n");
}

#[test]
fn a_saved_plan_is_refused_when_the_host_has_moved_on() {
    let (sandbox, target) = released();
    greet(&sandbox, "two");
    sandbox.batou(&["plan", "dev", "-o", "two.plan"]).success();
    greet(&sandbox, "three");
    sandbox.batou(&["switch", "dev"]).success();
    let results = target.results();
    let output = sandbox.batou(&["switch", "dev", "--plan", "two.plan"]).fails(1);
    says(&output.stderr, &["stale", "localhost", "nothing was changed"]);
    assert_eq!((target.file("app/app.conf").as_str(), target.results()), ("three on localhost\n", results));
}

#[test]
fn a_damaged_plan_file_is_refused() {
    let (sandbox, target) = released();
    greet(&sandbox, "two");
    sandbox.batou(&["plan", "dev", "-o", "two.plan"]).success();
    let plan = sandbox.read("two.plan");
    let before = target.listing();
    for damaged in [plan.replace("greeting", "greetinh"), plan[..plan.len() / 2].to_owned(), String::new()] {
        sandbox.write("two.plan", damaged);
        says(&sandbox.batou(&["switch", "dev", "--plan", "two.plan"]).fails(2).stderr, &["two.plan"]);
    }
    sandbox.write("two.plan", plan);
    sandbox.write("environments/other/environment.toml", sandbox.read("environments/dev/environment.toml"));
    says(
        &sandbox.batou(&["switch", "other", "--plan", "two.plan"]).fails(2).stderr,
        &["the plan is for dev"],
    );
    assert_eq!(target.listing(), before);
}

#[test]
fn a_diff_compares_environments_and_releases() {
    let (sandbox, _) = released();
    let old = releases(&sandbox)[0].1.clone();
    greet(&sandbox, "two");
    let diff = sandbox.batou(&["diff", &old[..12], "dev"]).success().stdout;
    says(&diff, &["app.conf", "-one on localhost", "+two on localhost"]);
    assert!(!diff.contains("db.conf"), "{diff}");
    assert_eq!(sandbox.batou(&["diff", "dev", "dev"]).success().stdout, "no difference\n");
    says(&sandbox.batou(&["diff", "dev", "nowhere"]).fails(2).stderr, &["nowhere", "dev"]);
}

#[test]
fn the_history_lists_releases_newest_first() {
    let (sandbox, _) = released_thrice();
    sandbox.batou(&["rollback", "dev"]).success();
    let history = releases(&sandbox);
    assert_eq!(history.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(history[0].1, history[2].1, "a rollback is the release of then");
    let text = sandbox.batou(&["history", "dev"]).success().stdout;
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("*    4  ") && first.ends_with("localhost, release 2 restored"), "{text}");
}

#[test]
fn the_status_tells_what_is_in_force() {
    let sandbox = shop::local();
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &["localhost  no release yet"]);
    sandbox.batou(&["switch", "dev"]).success();
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &["localhost  release 1 (", "generation 1"]);
    let status = &sandbox.batou(&["status", "dev", "--json"]).success().json()[0];
    assert_eq!(
        (&status["host"], &status["reachable"], &status["behind"], &status["current"]["generation"]),
        (&json!("localhost"), &json!(true), &json!(false), &json!(1))
    );
    assert_eq!(status["committed"]["release"], json!(releases(&sandbox)[0].1));
}

#[test]
fn verify_finds_what_was_changed_by_hand() {
    let (sandbox, target) = released();
    says(&sandbox.batou(&["verify", "dev"]).success().stdout, &["localhost: 3 files checked, as released"]);
    let file = target.artifact("app").join("app.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "by hand\n").unwrap();
    fs::remove_file(target.0.join("state/db/initialised")).unwrap();
    let output = sandbox.batou(&["verify", "dev"]).fails(1);
    let all = output.stdout + &output.stderr;
    says(&all, &["app.conf has", "step db/initialise"]);
    assert!(!target.0.join("state/db/initialised").exists(), "verify only reports");
    assert_eq!(fs::read_to_string(&file).unwrap(), "by hand\n");
}

#[test]
fn what_the_records_of_a_host_contradict_is_not_as_released() {
    let verify = |sandbox: &Sandbox, told: &[&str]| {
        let found = sandbox.batou(&["verify", "dev"]).fails(1);
        says(&(found.stdout.clone() + &found.stderr), told);
        assert!(!found.stdout.contains("as released"), "{}", found.stdout);
    };
    let (sandbox, target) = released_thrice();
    fs::remove_file(target.0.join("current")).unwrap();
    std::os::unix::fs::symlink("generations/2", target.0.join("current")).unwrap();
    verify(
        &sandbox,
        &["leads to generation 2, and the journal says that generation 3 is in force", "`batou switch dev"],
    );
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.batou(&["verify", "dev"]).success();

    let journal = fs::read(target.0.join("journal")).unwrap();
    fs::write(target.0.join("journal"), vec![0; journal.len()]).unwrap();
    verify(&sandbox, &["its journal cannot be read from line 1 on", "`batou switch dev` puts that right"]);
    fs::write(target.0.join("journal"), journal).unwrap();

    let number = target.generation().unwrap();
    fs::write(target.0.join(format!("generations/{number}/manifest.json")), "{").unwrap();
    fs::remove_file(target.0.join("current")).unwrap();
    verify(&sandbox, &["`current` is missing", "manifest that is in force is damaged", "`batou switch dev`"]);
    let nothing = "no release in force, although release 4 was committed";
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &[nothing]);
    let plan = sandbox.batou(&["plan", "dev"]).success().stdout;
    says(&plan, &["no release is in force there, although release 4 was committed"]);
    assert!(!plan.contains("first release"), "{plan}");
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.batou(&["verify", "dev"]).success();
}

#[test]
fn a_damaged_intent_is_told_by_every_command_with_its_remedy() {
    let (sandbox, target) = released_thrice();
    fs::write(target.0.join("intent.json"), "{").unwrap();
    let told = [
        "the file intent.json, which says which release was interrupted, is damaged",
        "then remove that file",
    ];
    for (command, status) in
        [("status", 0), ("plan", 0), ("history", 0), ("verify", 1), ("switch", 1), ("rollback", 1)]
    {
        let output = sandbox.batou(&[command, "dev"]);
        assert_eq!(output.status, Some(status), "{output:?}");
        says(&output.stderr, &told);
        for promise in ["under way", "goes back first", "as released"] {
            assert!(!output.stdout.contains(promise), "{output:?}");
        }
    }
    let faults = sandbox.batou(&["--json", "status", "dev"]).success().stdout;
    says(&faults, &[r#""faults":[{"record":"intent""#]);
    fs::remove_file(target.0.join("intent.json")).unwrap();
    sandbox.batou(&["verify", "dev"]).success();
}

#[test]
fn verify_repairs_files_from_the_controllers_store() {
    let (sandbox, target) = released();
    let artifact = target.artifact("app");
    let file = artifact.join("app.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "by hand\n").unwrap();
    fs::set_permissions(&artifact, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(artifact.join("run.sh")).unwrap();
    sandbox.batou(&["verify", "dev"]).fails(1);
    let output = sandbox.batou(&["verify", "dev", "--repair"]).success();
    says(&output.stdout, &["localhost: 3 files checked, as released"]);
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
    assert_eq!(target.generation(), Some(1));
    sandbox.batou(&["verify", "dev"]).success();
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
}

#[test]
fn verify_cannot_repair_what_the_controller_lacks() {
    let (sandbox, target) = released();
    let file = target.artifact("app").join("app.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "by hand\n").unwrap();
    // Nor do the project's files make it any more.
    greet(&sandbox, "two");
    let mut elsewhere = sandbox.command(&["verify", "dev", "--repair"]);
    let output = Output::of(elsewhere.env("BATOU_STORE", sandbox.home().join("empty"))).fails(1);
    says(
        &output.stderr,
        &["has lost 1 artifact, which cannot be made again from the project's files as they are now"],
    );
    assert_eq!(target.generation(), Some(1));
    sandbox.batou(&["verify", "dev", "--repair"]).success();
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
}

/// At 2 a.m. somebody has edited one released file and removed another.
#[test]
fn a_plain_switch_puts_back_what_was_changed_below_current() {
    let (sandbox, target) = released();
    let app = target.0.join("current/app");
    fs::set_permissions(app.join("app.conf"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(app.join("app.conf"), "hacked\n").unwrap();
    fs::set_permissions(&app, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(app.join("run.sh")).unwrap();
    let named = ["3 files to put back", "app/ (changed), app/app.conf (changed), app/run.sh (missing)"];
    says(&sandbox.batou(&["status", "dev"]).success().stdout, &["not as released: ", named[1]]);
    says(&sandbox.batou(&["plan", "dev"]).success().stdout, &named);
    let lines = sandbox.batou(&["plan", "dev", "--json"]).success().json();
    assert_eq!((&lines[0]["settled"], &lines[0]["drift_count"]), (&json!(false), &json!(3)));
    let drifted = json!({ "component": "app", "path": "app.conf", "what": "changed" });
    assert!(lines[0]["drift"].as_array().unwrap().contains(&drifted), "{lines:?}");

    let output = sandbox.batou(&["switch", "dev"]).success();
    says(&output.stdout, &["localhost: 3 files not as released, put back: app/, app/app.conf, app/run.sh"]);
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
    assert!(target.0.join("current/app/run.sh").exists());
    assert_eq!((target.generation(), target.generations()), (Some(1), vec![1]), "nothing new was made");
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    sandbox.batou(&["verify", "dev"]).success();

    // Set back in time, a change shows only to those who read the file.
    let conf = target.0.join("current/app/app.conf");
    let time = fs::metadata(&conf).unwrap().modified().unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&conf, "One on localhost\n").unwrap();
    fs::File::open(&conf).unwrap().set_modified(time).unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o444)).unwrap();
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    let lines = sandbox.batou(&["switch", "dev", "--recheck", "--json"]).success().json();
    let mended = lines.iter().find(|line| line["type"] == "mended").unwrap();
    assert_eq!((&mended["count"], &mended["files"][0]["path"]), (&json!(1), &json!("app.conf")));
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
}

#[test]
fn a_recheck_runs_what_no_longer_holds() {
    let (sandbox, target) = released();
    fs::remove_file(target.0.join("state/db/initialised")).unwrap();
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    assert!(!target.0.join("state/db/initialised").exists());
    sandbox.batou(&["switch", "dev", "--recheck"]).success();
    assert!(target.0.join("state/db/initialised").exists());
    assert_eq!((target.generation(), target.generations()), (Some(1), vec![1]), "nothing new was made");
}

#[test]
fn exec_runs_a_command_without_a_shell() {
    let (sandbox, target) = released();
    let output =
        sandbox.batou(&["exec", "dev", "--", "printf", "%s\\n", "$HOME; a b", "\u{1b}[31m"]).success();
    assert_eq!(output.stdout, "localhost  $HOME; a b\nlocalhost  ^[[31m\n");
    let output = sandbox.batou(&["exec", "dev", "--", "pwd", "-P"]).success();
    assert_eq!(output.stdout, format!("localhost  {}\n", fs::canonicalize(&target.0).unwrap().display()));
    let output = sandbox.batou(&["exec", "dev", "--", "sh", "-c", "echo out; echo bad >&2; exit 7"]).fails(1);
    assert_eq!(output.stdout, "localhost  out\n");
    says(&output.stderr, &["localhost  bad\n", "localhost: status 7"]);
    says(&sandbox.batou(&["exec", "dev", "--host", "x", "--", "true"]).fails(2).stderr, &["no host x"]);
}

#[test]
fn a_retired_host_keeps_its_state_unless_it_is_purged() {
    let (sandbox, target) = released();
    fs::write(target.0.join("foreign"), "not ours").unwrap();
    let refused = sandbox.batou(&["retire", "dev", "localhost"]).fails(2);
    says(&refused.stderr, &["localhost is still a host of dev", "--yes"]);
    let unknown = sandbox.batou(&["retire", "dev", "localhots"]).fails(2).stderr;
    says(
        &unknown,
        &["dev has no host `localhots`, and none of its hosts knows of one", "did you mean `localhost`?"],
    );
    assert!(!unknown.contains("target_directory") && !unknown.contains("--lost"), "{unknown}");
    sandbox.batou(&["retire", "dev", "localhost", "--yes"]).success();
    assert_eq!(names(&target.0), ["foreign", "state"]);
    assert_eq!(names(&target.0.join("state/db")), ["initialised"]);
    let again = sandbox.batou(&["retire", "dev", "localhost", "--yes"]).success();
    let nothing = format!("localhost: there was nothing of batou's to remove in {}\n", target.0.display());
    assert_eq!(again.stdout, nothing);
    let lost = sandbox.batou(&["retire", "dev", "localhost", "--lost"]).fails(2);
    says(&lost.stderr, &["localhost is still a host of dev, and the others would forget it", "--yes"]);
    let lost = sandbox.batou(&["retire", "dev", "localhost", "--lost", "--yes"]).success();
    assert_eq!(lost.stdout, "localhost: no other host remembers it, and nothing was removed there\n");
    let unknown = sandbox.batou(&["retire", "dev", "localhots", "--lost"]).fails(2).stderr;
    says(&unknown, &["dev has no host `localhots`, and none of its hosts knows of one"]);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(target.file("app/app.conf"), "one on localhost\n");
    sandbox.batou(&["retire", "dev", "localhost", "--purge", "--yes"]).success();
    assert_eq!(names(&target.0), ["foreign"]);
}

#[test]
fn a_release_travels_as_a_file_to_another_store() {
    let (one, other) = (shop::local(), Sandbox::new());
    let exported = one.batou(&["store", "export", "dev", "-o", "shop.tar.zst", "--json"]).success().json();
    let release = &exported[0]["release"];
    let file = one.project().join("shop.tar.zst");
    other.batou(&["store", "import", file.to_str().unwrap()]).success();
    assert_eq!(&other.batou(&["store", "ls", "--json"]).success().json()[0]["release"], release);
    let release = release.as_str().unwrap();
    let artifacts = other.batou(&["store", "ls", &release[..12], "--json"]).success().json();
    let app = artifacts.iter().find(|line| line["component"] == "app").unwrap()["artifact"].as_str().unwrap();
    assert_eq!(other.batou(&["store", "cat", app, "app.conf"]).success().stdout, "one on localhost\n");

    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let third = Sandbox::new();
    let cut = third.batou(&["store", "import", file.to_str().unwrap()]).fails(2);
    says(&cut.stderr, &["shop.tar.zst", "it ends too early"]);
    assert_eq!(third.batou(&["store", "ls"]).success().stdout, "");
}

#[test]
fn an_artifact_is_found_by_its_link() {
    let sandbox = shop::local();
    sandbox.batou(&["build", "dev"]).success();
    let link = "result/dev/localhost/app";
    assert_eq!(sandbox.batou(&["store", "cat", link, "app.conf"]).success().stdout, "one on localhost\n");
    says(&sandbox.batou(&["store", "ls", link]).success().stdout, &["app.conf", "run.sh"]);
}

#[test]
fn the_check_of_the_store_says_what_it_found_and_what_is_left() {
    let sandbox = shop::local();
    sandbox.batou(&["store", "export", "dev", "-o", "shop.tar.zst"]).success();
    let whole = json!([{"format": 1, "type": "store-verified", "left": 0, "mended": 0}]);
    assert_eq!(json!(sandbox.batou(&["store", "verify", "--json"]).success().json()), whole);
    let blobs = fs::read_dir(sandbox.store().join("blobs")).unwrap();
    blobs.map(Result::unwrap).for_each(|blob| fs::remove_file(blob.path()).unwrap());
    fs::write(sandbox.store().join("junk"), "").unwrap();
    let repair = ["store", "verify", "--repair", "--from", "shop.tar.zst"];
    let output = sandbox.batou(&repair).fails(1);
    says(&output.stdout, &["3 problems mended", "Left:\nforeign: junk"]);
    says(&output.stderr, &["has 1 problem", "look at what is foreign"]);
    fs::remove_file(sandbox.store().join("junk")).unwrap();
    says(&sandbox.batou(&["store", "verify"]).success().stdout, &["every object is whole"]);
}

#[test]
fn only_a_plain_file_is_written_over() {
    let sandbox = shop::local();
    let pipe = sandbox.project().join("pipe");
    Output::of(sandbox.program("mkfifo").arg(&pipe)).success();
    for command in [&["plan", "dev", "-o", "pipe"][..], &["store", "export", "dev", "-o", "pipe"]] {
        let output = sandbox.batou(command).fails(2);
        says(&output.stderr, &["pipe exists and is not a regular file"]);
        assert_eq!(output.stdout, "");
    }
    assert!(!fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_new_project_works_at_once() {
    let sandbox = Sandbox::new();
    sandbox.batou(&["init", "--name", "fresh"]).success();
    sandbox.batou(&["check"]).success();
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(
        sandbox.read("work/dev/current/hello/greeting.txt"),
        "Hello developer, this is localhost in dev.\n"
    );
    let before = listing(&sandbox.project());
    says(&sandbox.batou(&["init", "--name", "fresh"]).fails(2).stderr, &["already exists"]);
    assert_eq!(listing(&sandbox.project()), before);
}

#[test]
fn completions_are_what_the_shell_reads() {
    let sandbox = Sandbox::new();
    let script = sandbox.batou(&["completions", "bash"]).success().stdout;
    sandbox.write("completions", script);
    let test = "source ./completions && complete -p batou";
    says(&Output::of(sandbox.program("bash").args(["-c", test])).success().stdout, &["_batou", "batou"]);
}

#[test]
fn check_looks_at_all_environments_and_contacts_none() {
    let (sandbox, target) = released();
    sandbox.write(
        "environments/other/environment.toml",
        "[environment]\nhost_domain = \"invalid\"\n[hosts]\nh1 = [\"app\"]\n",
    );
    let before = target.listing();
    let lines = sandbox.batou(&["check", "--json"]).success().json();
    let names: Vec<_> = lines.iter().map(|line| line["environment"].as_str().unwrap()).collect();
    assert_eq!(names, ["dev", "other"]);
    assert_eq!(target.listing(), before);
}

#[test]
fn a_folder_above_is_found_and_a_named_one_wins() {
    let (sandbox, _) = released();
    let mut below = sandbox.command(&["status", "dev"]);
    below.current_dir(sandbox.project().join("components/app"));
    Output::of(&mut below).success();
    let project = sandbox.project();
    let mut elsewhere = sandbox.command(&["--project", project.to_str().unwrap(), "status", "dev"]);
    elsewhere.current_dir("/");
    Output::of(&mut elsewhere).success();
    let mut nowhere = sandbox.command(&["status", "dev"]);
    nowhere.current_dir("/");
    says(&Output::of(&mut nowhere).fails(2).stderr, &["batou.toml"]);
}

#[test]
fn explain_says_where_values_are_set() {
    let sandbox = Sandbox::example("plone-like");
    let explain = |arguments: &[&str]| sandbox.batou(&[&["explain", "prod"], arguments].concat());
    let text = explain(&["app01", "zope"]).success().stdout;
    says(
        &text,
        &[
            "Zope, as many numbered instances",
            "base_port = 8080",
            "instance 1 listens on the port after this one",
            "default in components/zope",
        ],
    );
    says(
        &text,
        &[
            "set in environments/prod/environment.toml:12  threads = 4",
            "instead of components/zope/component.star:5",
        ],
    );
    let lines = explain(&["web01", "haproxy", "address", "--json"]).success().json();
    assert_eq!((lines.len(), &lines[0]["value"]), (1, &"web01.example.net:8000".into()));
    assert_eq!(lines[0]["made_from"], serde_json::json!(["host fqdn"]));
    assert_eq!(lines[0]["set"][0]["default"], true);
    let website = Sandbox::example("website");
    let text = website.batou(&["explain", "prod", "web01", "web", "workers"]).success().stdout;
    says(&text, &["workers = 1  int", "instead of components/web/component.toml:3  workers = 4"]);
    for (arguments, message, hint) in [
        (["web02", "haproxy", "address"], "environment prod has no host web02", "known: app01, web01"),
        (["web01", "hapoxy", "address"], "there is no component hapoxy", "did you mean `haproxy`?"),
        (["web01", "haproxy", "adress"], "there is no attribute adress", "did you mean `address`?"),
    ] {
        says(&explain(&arguments).fails(2).stderr, &[message, hint]);
    }
}

/// What can be explained is, whatever is wrong elsewhere.
#[test]
fn explain_needs_no_project_without_mistakes() {
    let sandbox = shop::local();
    sandbox.write("components/bad/component.toml", "[[file]]\npath = \"a\"\ncontent = \"{{ nope }}\"\n");
    sandbox.write("components/one/component.toml", "[attributes]\nport = 80\nsame = \"{{ nope }}\"\n");
    let hosts = "[environment]\nconnect_method = \"local\"\n[hosts]\nh1 = [\"app\", \"bad\", \"one\"]\n";
    sandbox.write("environments/dev/environment.toml", hosts);
    let other = sandbox.batou(&["explain", "dev", "h1", "app"]).success();
    says(&other.stderr, &["2 errors elsewhere in the environment: see `batou check dev`"]);
    let own = sandbox.batou(&["explain", "dev", "h1", "one"]).fails(2);
    says(&own.stdout, &["port = 80", "same has no value: see below"]);
    says(&own.stderr, &["`nope` is undefined", "components/one/component.toml:3", "one on h1 has 1 error"]);
    assert!(!own.stderr.contains("components/bad"), "{}", own.stderr);
}

/// Whoever mends one side should not have to call again to hear of the other.
#[test]
fn a_diff_shows_the_mistakes_of_both_sides() {
    let sandbox = shop::local();
    for (environment, key) in [("old", "one"), ("new", "two")] {
        let text = format!("[environment]\ninherits = \"dev\"\n{key} = 1\n[settings]\nnothing = 1\n");
        sandbox.write(&format!("environments/{environment}/environment.toml"), text);
    }
    let told = sandbox.batou(&["diff", "old", "new"]).fails(2).stderr;
    says(&told, &["unknown key `one` in [environment]", "unknown key `two` in [environment]"]);
}

#[test]
fn a_difference_says_nothing_of_hosts() {
    let sandbox = shop::local();
    let same = sandbox.batou(&["diff", "dev", "dev", "--json"]).success().json();
    assert!(!same.is_empty());
    for line in &same {
        assert_eq!((line.get("settled"), &line["components"]), (None, &serde_json::json!([])), "{line}");
    }
}

#[test]
fn an_environment_that_is_named_twice_is_checked_once() {
    let sandbox = shop::local();
    let checked = sandbox.batou(&["check", "dev", "dev", "--json"]).success().json();
    assert_eq!(checked.len(), 1, "{checked:?}");
}

#[test]
fn a_plan_that_changes_nothing_makes_no_release() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.batou(&["plan", "dev", "-o", "plan"]).success();
    for _ in 0..2 {
        says(&sandbox.batou(&["switch", "dev", "--plan", "plan"]).success().stdout, &["nothing to do"]);
    }
    assert_eq!(Target::local(&sandbox).results(), ["1 committed"]);
}

#[test]
fn a_mistake_is_told_with_each_place_that_environments_set_its_value_at() {
    let sandbox = shop::local();
    sandbox.write(
        "components/app/component.toml",
        "[attributes]\nport = \"1\"\n[[file]]\npath = \"x\"\ncontent = \"{{ component.port + 1 }}\"\n",
    );
    for (environment, lines) in [("dev", ""), ("prod", "\n\n")] {
        let text = "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n";
        let set = format!("{text}{lines}[components.app]\nport = \"a\"\n");
        sandbox.write(&format!("environments/{environment}/environment.toml"), set);
    }
    let checked = sandbox.batou(&["check"]).fails(2).stderr;
    says(
        &checked,
        &["environments/dev/environment.toml:6", "environments/prod/environment.toml:8", "2 errors in 2"],
    );
}

#[test]
fn what_was_put_right_is_a_release_that_says_so() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    sandbox.batou(&["switch", "dev"]).success();
    fs::remove_file(target.0.join("current")).unwrap();
    says(
        &sandbox.batou(&["status", "dev"]).success().stdout,
        &["release 1 (", "not as released: 1 file: current (missing)"],
    );
    let plan = sandbox.batou(&["plan", "dev", "-o", "plan"]).success().stdout;
    says(&plan, &["localhost: 1 file to put back, in a release of its own", "current (missing)"]);
    assert!(!plan.contains("first release"), "{plan}");
    let switched = sandbox.batou(&["switch", "dev", "--plan", "plan"]).success().stdout;
    says(&switched, &["dev: release 2 (", ") is in force on 1 host: release 1 once more\n"]);
    let history = sandbox.batou(&["history", "dev"]).success().stdout;
    says(history.lines().next().unwrap(), &["*    2 ", "localhost, release 1 once more"]);

    fs::remove_dir_all(target.0.join("state")).unwrap();
    says(
        &sandbox.batou(&["status", "dev"]).success().stdout,
        &["state/app (gone, with all data in it), state/db"],
    );
    let plan = sandbox.batou(&["plan", "dev"]).success().stdout;
    let gone = "! gone with all data, and made again empty: state/app, state/db\n";
    says(&plan, &["localhost: 2 folders to make again, in a release of its own\n", gone]);
    let switched = sandbox.batou(&["switch", "dev"]).success();
    let lost = "warning: localhost: state/app, state/db were gone, with all data of those components, and empty now\n";
    says(&switched.stderr, &[lost]);
    assert!(!switched.stdout.contains("put back"), "{}", switched.stdout);
    let again = &sandbox.batou(&["switch", "dev", "--recheck", "--json"]).success().json();
    assert_eq!(again.iter().find(|line| line["type"] == "released").unwrap()["again"], 3);

    fs::remove_dir_all(target.0.join("generations")).unwrap();
    says(
        &sandbox.batou(&["plan", "dev"]).success().stdout,
        &["localhost: what it had cannot be read any more, 2 components"],
    );
}

#[test]
fn a_store_that_cannot_be_opened_is_named_with_the_variable() {
    let sandbox = shop::local();
    let file = sandbox.home().join("file");
    fs::write(&file, "mine").unwrap();
    for store in [file.clone(), file.join("below")] {
        let output = Output::of(sandbox.command(&["build", "dev"]).env("BATOU_STORE", &store)).fails(1);
        let hint =
            format!("the local store is the folder {}; BATOU_STORE names another one", store.display());
        says(&output.stderr, &["Not a directory", &hint]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_store_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;

    let sandbox = shop::local();
    let store = sandbox.home().join(std::ffi::OsStr::from_bytes(b"store \xff"));
    let run = |command: &[&str]| Output::of(sandbox.command(command).env("BATOU_STORE", &store)).success();
    for command in
        [&["build", "dev"][..], &["switch", "dev"], &["status", "dev", "--json"], &["verify", "dev"]]
    {
        run(command);
    }
    assert_eq!(sandbox.read("result/dev/localhost/app/app.conf"), "one on localhost\n");
    for command in [&["store", "ls"][..], &["store", "verify"], &["gc"]] {
        run(command);
    }
}

#[test]
fn a_store_in_the_way_of_a_target_directory_is_refused_before_anything_is_changed() {
    let (sandbox, target) = released();
    let before = target.listing();
    for store in ["store", "", "state/db/cache/store"].map(|part| target.0.join(part)) {
        for command in ["build", "switch", "rollback", "status", "gc", "verify"] {
            let refused = Output::of(sandbox.command(&[command, "dev"]).env("BATOU_STORE", &store)).fails(2);
            let words = "the local store lies inside of the target directory of localhost";
            says(
                &refused.stderr,
                &[words, &target.0.display().to_string(), "BATOU_STORE", "target_directory"],
            );
        }
        let retire = ["retire", "dev", "localhost", "--yes"];
        Output::of(sandbox.command(&retire).env("BATOU_STORE", &store)).fails(2);
        assert_eq!(target.listing(), before);
    }
    shop::set(&sandbox, &format!("target_directory = \"{}/shop\"", sandbox.store().display()));
    let refused = sandbox.batou(&["switch", "dev"]).fails(2).stderr;
    says(&refused, &["the target directory lies inside of the local store"]);
    assert!(!sandbox.store().join("shop").exists());
}
