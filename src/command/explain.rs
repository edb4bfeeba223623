//! `batou explain`: the values of a component's attributes on a host, and where each is set.

use batou_environments::{Evaluation, Explained, SetAt, Typed};

use crate::context::Context;
use crate::error::CommandError;
use crate::naming::{self, known};
use crate::ui::line::Line;
use crate::ui::line::complaint::ValuePlace;
use crate::ui::{DIM, visible, visible_name};

/// Show the attributes of a component on a host, and where each value is set.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The place that counts comes first, then what it overrides; the component's default is the last. No host and no name
server is asked.

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

/// Evaluates, and shows what was asked for.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let typed = Typed { host: args.host.clone(), component: args.component.clone() };
    let (evaluation, explanation) = context.explain(&args.environment, typed)?;
    let args = &Args { host: evaluation.policy.host_name(&args.host), ..args.clone() };
    let Some(explanation) = explanation else {
        return absent(&evaluation, args);
    };
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

fn absent(evaluation: &Evaluation, args: &Args) -> Result<(), CommandError> {
    let hosts = evaluation.hosts.iter().map(|host| host.name.clone()).collect();
    naming::hosts(&evaluation.policy, std::slice::from_ref(&args.host), &hosts)?;
    let here = evaluation.components.iter().filter(|one| one.host == args.host);
    let components = here.map(|one| one.component.as_str()).collect();
    known("component", std::slice::from_ref(&args.component), &components)
}

fn line<'a>(args: &'a Args, attribute: &'a Explained) -> Line<'a> {
    let place = |set: &'a SetAt| ValuePlace::new(&attribute.name, &set.location, set.default);
    Line::Attribute {
        host: &args.host,
        component: &args.component,
        attribute: &attribute.name,
        value_type: &attribute.kind,
        value: &attribute.value,
        doc: attribute.doc.as_deref(),
        set: attribute.set.iter().map(place).collect(),
        made_from: &attribute.causes,
    }
}

fn show(context: &Context, args: &Args, attribute: &Explained) {
    context.ui.json(&line(args, attribute));
    let ui = &context.ui;
    ui.line(&format!("{} = {}  {DIM}{}{DIM:#}", attribute.name, visible(&attribute.value), attribute.kind));
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
