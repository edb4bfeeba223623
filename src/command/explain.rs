//! `batou explain`: the values of a component's attributes on a host, and where each is set.

use batou_environments::{Diagnostic, Explained, ExplainedEnvironment, Explanation, SetAt, Severity, Typed};

use crate::context::Context;
use crate::error::CommandError;
use crate::naming::{self, known};
use crate::ui::line::Line;
use crate::ui::line::complaint::ValuePlace;
use crate::ui::report::diagnostic;
use crate::ui::{DIM, plural, visible, visible_name};

/// Show the attributes of a component on a host, and where each value is set.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The place that counts comes first, then what it overrides; the component's default is the last. No host and no name server is asked. Mistakes elsewhere do not matter.

Examples:
  batou explain prod web01 nginx
  batou explain prod web01 nginx workers")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The host
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The component
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Only this attribute
    #[arg(value_name = "ATTRIBUTE")]
    pub attribute: Option<String>,
}

/// Shows what was asked for, as far as it has values, and the mistakes that concern it.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let typed = Typed { host: args.host.clone(), component: args.component.clone() };
    let explained = context.explain(&args.environment, typed)?;
    let args = &Args { host: explained.policy.host_name(&args.host), ..args.clone() };
    refuse_unknown(&explained, args)?;
    if let Some(explanation) = &explained.explanation {
        show_all(context, args, explanation)?;
    }
    for mistake in &explained.mistakes {
        diagnostic(&context.ui, mistake);
    }
    outcome(context, args, &explained)
}

/// Refuses a host or a component that the environment does not name.
fn refuse_unknown(explained: &ExplainedEnvironment, args: &Args) -> Result<(), CommandError> {
    let hosts = explained.hosts.iter().map(|host| host.name.clone()).collect();
    naming::hosts(&explained.policy, std::slice::from_ref(&args.host), &hosts)?;
    let here = explained.declared.iter().filter(|one| *one.host == *args.host);
    let components = here.map(|one| one.component.as_str()).collect();
    known("component", std::slice::from_ref(&args.component), &components)
}

/// Mistakes that concern what was asked for are a failure; others are only counted.
fn outcome(context: &Context, args: &Args, explained: &ExplainedEnvironment) -> Result<(), CommandError> {
    let is_error = |mistake: &&Diagnostic| mistake.severity == Severity::Error;
    let errors = explained.mistakes.iter().filter(is_error).count();
    if explained.elsewhere > 0 {
        let elsewhere = plural(explained.elsewhere, "error");
        let check = format!("see `batou check {}`", visible_name(&args.environment));
        context.ui.notice(&format!("{elsewhere} elsewhere in the environment: {check}"));
    }
    if errors == 0 {
        return Ok(());
    }
    let subject = format!("{} on {}", visible_name(&args.component), visible_name(&args.host));
    Err(CommandError::input(format!("{subject} has {}", plural(errors, "error"))))
}

fn show_all(context: &Context, args: &Args, explanation: &Explanation) -> Result<(), CommandError> {
    let all = &explanation.attributes;
    let names = all.iter().map(|one| one.name.as_str()).collect();
    known("attribute", args.attribute.as_slice(), &names)?;
    if let (Some(doc), None) = (&explanation.doc, &args.attribute) {
        context.ui.line(&visible(doc));
    }
    let wanted = |one: &&Explained| args.attribute.as_ref().is_none_or(|name| one.name == *name);
    for attribute in all.iter().filter(wanted) {
        show(context, args, attribute);
    }
    if all.is_empty() {
        context.ui.notice(&format!("{} declares no attributes", visible_name(&args.component)));
    }
    Ok(())
}

fn line<'a>(args: &'a Args, attribute: &'a Explained, value: &'a str) -> Line<'a> {
    let place = |set: &'a SetAt| ValuePlace::new(&attribute.name, &set.location, set.default);
    Line::Attribute {
        host: &args.host,
        component: &args.component,
        attribute: &attribute.name,
        value_type: &attribute.kind,
        value,
        doc: attribute.doc.as_deref(),
        set: attribute.set.iter().map(place).collect(),
        made_from: &attribute.causes,
    }
}

fn show(context: &Context, args: &Args, attribute: &Explained) {
    let ui = &context.ui;
    let kind = &attribute.kind;
    match &attribute.value {
        Some(value) => {
            ui.json(&line(args, attribute, value));
            ui.line(&format!("{} = {}  {DIM}{kind}{DIM:#}", attribute.name, visible(value)));
        }
        None => ui.line(&format!("{} has no value: see below  {DIM}{kind}{DIM:#}", attribute.name)),
    }
    if let Some(doc) = &attribute.doc {
        ui.line(&format!("    {}", visible(doc)));
    }
    for (number, set) in attribute.set.iter().enumerate() {
        ui.line(&place(number, set));
    }
    if !attribute.causes.is_empty() {
        let causes: Vec<_> = attribute.causes.iter().map(|cause| visible_name(cause)).collect();
        ui.line(&format!("    made from {}", causes.join(", ")));
    }
}

/// `    set in      environments/prod/environment.toml:14  workers = 2`
fn place(number: usize, set: &SetAt) -> String {
    let what = match (number, set.default) {
        (0, true) => "default in",
        (0, false) => "set in",
        _ => "instead of",
    };
    let (file, line) = (visible(&set.location.file.to_string_lossy()), set.location.line);
    format!("    {what} {file}:{line}  {DIM}{}{DIM:#}", visible(set.location.shown_line().0.trim()))
}
