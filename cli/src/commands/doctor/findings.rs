//! Results of the checks, and their table.

use serde::Serialize;

use crate::{
    error::CliError,
    output::{Cell, Sheet, Table, View, left},
};

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pass,
    Warn,
    Fail,
}

#[derive(Serialize)]
pub(super) struct Check {
    pub name: String,
    pub status: Status,
    pub message: String,
    pub remedy: Option<String>,
}

#[derive(Default)]
pub(super) struct Findings(pub Vec<Check>);

impl Findings {
    pub fn pass(&mut self, name: &str, message: impl Into<String>) {
        self.0.push(Check { name: name.into(), status: Status::Pass, message: message.into(), remedy: None });
    }

    pub fn warn(&mut self, name: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let remedy = Some(remedy.into());
        self.0.push(Check { name: name.into(), status: Status::Warn, message: message.into(), remedy });
    }

    pub fn fail(&mut self, name: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let remedy = Some(remedy.into());
        self.0.push(Check { name: name.into(), status: Status::Fail, message: message.into(), remedy });
    }

    /// Adds a failed check from an error and its hint.
    pub fn error(&mut self, name: &str, error: &CliError) {
        let document = error.to_json();
        let text = |field: &str| document.pointer(&format!("/error/{field}")).and_then(|text| text.as_str());
        let message = text("message").unwrap_or_default().to_owned();
        self.fail(name, message, text("hint").unwrap_or("see the service's log"));
    }
}

pub(super) fn sheet(checks: &[Check], view: &View) -> Sheet {
    let mut table =
        Table::list("checks", [left("CHECK"), left("STATUS"), left("FOUND"), left("REMEDY").wide()])
            .wrapped();
    for check in checks {
        let status = match check.status {
            Status::Pass => Cell::Good("pass".into()),
            Status::Warn => Cell::Fair("warn".into()),
            Status::Fail => Cell::Bad("FAIL".into()),
        };
        let remedy = check.remedy.clone().unwrap_or_default();
        table.row([check.name.clone().into(), status, check.message.clone().into(), remedy.into()]);
    }
    let remedies: Vec<_> = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", view.heading(&check.name), check.remedy.as_ref()?)))
        .collect();
    let todo = if remedies.is_empty() { String::new() } else { format!("remedies\n{}", remedies.join("\n")) };
    Sheet::new().table(table).text(todo)
}
