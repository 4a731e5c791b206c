//! What became of each variable.

use std::{collections::BTreeMap, fmt};

use crate::{
    api::{Component, message},
    offline::{
        Document,
        by_hand::{Elsewhere, Section, Service, Text, Value, Variable, all_of, in_other_case},
    },
};

use super::{
    credential::Made,
    faults::{self, Fault},
    timbr::Timbr,
};

/// A variable of a component.
pub type Place = (Component, String);

/// What became of a variable.
#[derive(Debug)]
pub enum Outcome {
    /// A resource writes it, with this value.
    Kept(Text),
    /// A resource takes it from a key of a Secret.
    Referenced,
    /// No resource writes it, and Timbr does the same without it.
    Dropped(String),
    /// It cannot be expressed.
    Left(String),
}

/// A variable that a resource writes and that was not there.
#[derive(Debug)]
pub struct Added {
    /// The component that gets it.
    pub component: Component,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether Timbr does the same without it.
    pub is_default: bool,
}

/// Everything that there is to tell of one Timbr.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What became of each variable.
    pub outcomes: BTreeMap<Place, Outcome>,
    /// What is written besides.
    pub added: Vec<Added>,
    /// What is worth knowing, about a component.
    pub notes: Vec<(Component, String)>,
    /// The values for Secrets that have to be made.
    pub made: Vec<Made>,
    /// What cannot be made although no variable is at fault: its kind, and why.
    pub left: Vec<(&'static str, String)>,
    /// Resources that would be refused, and why: they are not made.
    pub refused: BTreeMap<faults::Made, Fault>,
}

/// A line about a variable.
#[derive(Debug)]
pub struct Line {
    /// The file.
    pub file: String,
    /// The document in it, from 1.
    pub document: usize,
    /// Where in the document; a component's name for what is added.
    pub path: String,
    /// What became of it.
    pub what: What,
}

/// What a line says.
#[derive(Debug)]
pub enum What {
    /// The value is written otherwise now.
    Changed {
        /// The variable.
        name: String,
        /// Before and after; of sensitive ones neither.
        from_to: (String, String),
    },
    /// It is gone, and Timbr does the same without it.
    Dropped {
        /// The variable.
        name: String,
        /// Why.
        why: String,
    },
    /// It is written and was not there.
    Added(String),
    /// It cannot be expressed.
    Left {
        /// The variable.
        name: String,
        /// Why not.
        why: String,
    },
    /// Worth knowing.
    Note(String),
}

impl Line {
    /// A line about something in a document.
    pub fn new(document: &Document, path: impl Into<String>, what: What) -> Self {
        Self { file: document.file.clone(), document: document.number, path: path.into(), what }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, path, what } = self;
        let (verb, text) = match what {
            What::Changed { name, from_to: (from, to) } => ("changed", format!("{name}: {from} -> {to}")),
            What::Dropped { name, why } => ("dropped", format!("{name}: {why}")),
            What::Added(text) => ("added", text.clone()),
            What::Left { name, why } => ("left out", format!("{name}: {why}")),
            What::Note(text) => ("note", text.clone()),
        };
        // Names are the user's words; a line stays one.
        write!(f, "{file}:{document}: {verb}: {}", message(&format!("{path}: {text}")))
    }
}

impl Ledger {
    /// All of it as lines.
    pub fn lines(&self, timbr: &Timbr<'_>, documents: &[Document]) -> Vec<Line> {
        let mut services: Vec<&Service> = timbr.services.values().copied().collect();
        services.extend(&timbr.surplus);
        services.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
        let line = |service: &Service, path: &str, what| Line::new(&documents[service.at], path, what);
        let mut lines = Vec::new();
        for service in &services {
            let is_surplus = timbr.surplus.iter().any(|surplus| std::ptr::eq(*surplus, *service));
            for variable in &service.variables {
                let what = if is_surplus { surplus(service, variable, timbr) } else { self.what(service, variable) };
                lines.extend(what.map(|what| line(service, &service.value_path(variable), what)));
            }
            lines.extend(service.elsewhere.iter().map(|elsewhere| line(service, &elsewhere.path, unseen(elsewhere))));
        }
        lines.extend(self.left.iter().filter_map(|(kind, why)| {
            let what = What::Left { name: (*kind).to_owned(), why: why.clone() };
            services.first().map(|service| line(service, &service.path, what))
        }));
        // What is added may be for a component that is not in the input.
        let of = |component: Component| timbr.services.get(&component).copied().or(services.first().copied());
        for Added { component, name, value, is_default } in &self.added {
            let why = if *is_default { "Timbr's default" } else { "always written" };
            let what = What::Added(format!("{name}={value} ({why})"));
            lines.extend(of(*component).map(|service| line(service, component.usual_deployment(), what)));
        }
        for (component, text) in &self.notes {
            let what = What::Note(text.clone());
            lines.extend(of(*component).map(|service| line(service, component.usual_deployment(), what)));
        }
        lines
    }

    fn what(&self, service: &Service, variable: &Variable) -> Option<What> {
        let name = variable.name.clone();
        let left = |why: String| Some(What::Left { name: name.clone(), why });
        let Some(known) = variable.documented() else {
            let upper = in_other_case(&variable.name)?;
            return left(format!("is not in upper case, so Timbr does not read it; write {upper} if it is meant"));
        };
        if !known.components.contains(&service.component) {
            if known.is_everybodys() {
                return None;
            }
            let right: Vec<&str> = known.components.iter().map(|component| component.usual_deployment()).collect();
            let here = service.component.usual_deployment();
            return left(format!("is a variable of {}; {here} does not read it", all_of(&right)));
        }
        if known.section == Section::Beside {
            return Some(What::Note(format!("{name} is written by no resource; keep it where Timbr is deployed")));
        }
        if !service.variable(&variable.name).is_some_and(|last| std::ptr::eq(last, variable)) {
            let why = "a later entry has the same name, and only that one counts".to_owned();
            return Some(What::Dropped { name, why });
        }
        match self.outcomes.get(&(service.component, variable.name.clone())) {
            Some(Outcome::Kept(now)) => changed(variable, now, known.form.is_sensitive()),
            Some(Outcome::Referenced) => None,
            Some(Outcome::Dropped(why)) => Some(What::Dropped { name, why: why.clone() }),
            Some(Outcome::Left(why)) => left(why.clone()),
            None => left("no resource that can be made here has a place for it".to_owned()),
        }
    }
}

/// Variables that are not in the document.
fn unseen(Elsewhere { what, .. }: &Elsewhere) -> What {
    let why = "may set variables that cannot be seen here, and none of them is expressed; write those of Timbr's identity integrations beside the others";
    What::Left { name: (*what).to_owned(), why: why.to_owned() }
}

fn surplus(service: &Service, variable: &Variable, timbr: &Timbr<'_>) -> Option<What> {
    let known = variable.documented()?;
    let first = timbr.services.get(&service.component)?;
    let is_ours = known.components.contains(&service.component) && known.section != Section::Beside;
    is_ours.then(|| What::Left {
        name: variable.name.clone(),
        why: format!("{} is {} already; import them one at a time", first.title, service.component.usual_deployment()),
    })
}

fn changed(variable: &Variable, now: &Text, is_sensitive: bool) -> Option<What> {
    const REDACTED: &str = "<redacted>";
    let (from, is_same) = match &variable.value {
        Value::Plain(text) => (format!("{:?}", text.as_str()), text == now),
        Value::NotText(text) => (text.as_str().to_owned(), false),
        Value::SecretRef { .. } | Value::Other(_) => return None,
    };
    let from_to = match is_sensitive {
        true => (REDACTED.to_owned(), REDACTED.to_owned()),
        false => (from, format!("{:?}", now.as_str())),
    };
    (!is_same).then(|| What::Changed { name: variable.name.clone(), from_to })
}
