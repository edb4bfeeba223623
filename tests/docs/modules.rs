//! The list of modules in ARCHITECTURE.md is made from the first sentence of each module's own documentation.

use std::fs;
use std::path::Path;

use walkdir::WalkDir;

/// The folders of the crates, from the bottom to the top.
const CRATES: [&str; 7] =
    ["system/src", "store/src", "release/src", "agent/src", "jinja/src", "environments/src", "src"];
/// What stands before the list.
const HEADING: &str = "## The modules\n";

/// A page with the list written anew.
pub(super) fn written(root: &Path, page: &str) -> String {
    let (before, _) = page.split_once(HEADING).expect("ARCHITECTURE.md has a heading for its modules");
    let mut text = format!(
        "{before}{HEADING}\nThe first sentence of each module's documentation; `make doc` shows the rest. Written by\n\
         `BATOU_UPDATE_DOCS=1 cargo test --test main docs`.\n"
    );
    for folder in CRATES {
        text.push_str(&format!("\n### {folder}/\n\n"));
        for (module, sentence) in modules(&root.join(folder)) {
            text.push_str(&format!("- `{module}`: {sentence}\n"));
        }
    }
    text
}

/// The modules of a crate and what each says of itself first, the crate's own first.
fn modules(folder: &Path) -> Vec<(String, String)> {
    let files = WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    let mut modules: Vec<_> = files
        .filter_map(|path| {
            let module = path.strip_prefix(folder).unwrap().to_str().unwrap().strip_suffix(".rs")?;
            let module = module.trim_end_matches("/mod").to_owned();
            let is_test = module.split('/').any(|part| part == "tests" || part == "docs");
            (!is_test).then(|| (module, first_sentence(&path)))
        })
        .collect();
    modules.sort_by_key(|(module, _)| (module != "main" && module != "lib", module.clone()));
    modules
}

fn first_sentence(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: Vec<_> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ").replace("[`", "`").replace("`]", "`");
    assert!(!paragraph.is_empty(), "{} does not say what it is", path.display());
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches(['.', ':']).to_owned()
}
