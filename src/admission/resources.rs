//! Resources of our own kinds: what is wrong with one, and which Secrets it wants read.
//!
//! It is judged as `validate` judges a file with nothing beside it, so both say the same. What another object decides,
//! such as a Secret that is missing, may be right a moment later, and is for the status to say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    api::{API_VERSION, Code, GROUP, Kind, Object},
    compose::{Settings, secret_refs, token_ref},
    offline::{Document, Finding, judge},
};

use super::review::{Operation, Request, Verdict};

/// What other objects decide, which may be there, or come.
const OF_OTHERS: [Code; 2] = [Code::InstallationNotFound, Code::NotInInput];

/// What came of a look at a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The Secrets that it wants read, by name, if that is to be asked about.
    pub secrets: BTreeSet<String>,
}

/// Looks at a resource.
///
/// # Errors
/// A refusal, with everything that is wrong.
pub fn look(request: &Request, settings: &Settings) -> Result<Judged, Verdict> {
    let kind = Kind::ALL.iter().copied().find(|kind| kind.name() == request.kind.kind);
    let Some(kind) = kind.filter(|_| request.kind.group == GROUP) else {
        let message = format!(
            "{} is no kind of {GROUP}, so this webhook cannot judge it; correct the rules of resources.{GROUP} in the ValidatingWebhookConfiguration",
            request.kind.kind
        );
        return Err(Verdict::Denied(400, message));
    };
    let nothing = Judged { warnings: vec![], secrets: BTreeSet::new() };
    if !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(nothing);
    }
    let mut object: Value = request.object()?;
    let Value::Object(fields) = &mut object else {
        return Err(Verdict::Denied(400, format!("the {kind} in the AdmissionReview is no object")));
    };
    // What it is was asked about, whatever it says itself.
    fields.insert("apiVersion".to_owned(), API_VERSION.into());
    fields.insert("kind".to_owned(), kind.name().into());
    let before: Option<Value> = request.old_object.as_ref().map(|object| request.decode(object)).transpose()?;
    // Whatever is wrong with it was there before, and keeps nobody from putting a label on it, or taking a finalizer off.
    if before.is_some_and(|before| before.get("spec") == object.get("spec")) {
        return Ok(nothing);
    }
    let secrets = secrets(kind, &object);
    let document = Document { file: String::new(), number: 1, line: 1, value: object };
    let documents = [document];
    let found = judge(&documents, &request.namespace, settings).findings;
    let is_its_own = |finding: &&Finding| !OF_OTHERS.iter().any(|code| finding.code == code.as_str());
    let (errors, warnings): (Vec<_>, Vec<_>) = found.iter().filter(is_its_own).partition(|finding| finding.is_error());
    if !errors.is_empty() {
        let mut message = format!("{kind} {}/{} is not valid:", request.namespace, request.name);
        for error in errors {
            message.push_str(&format!("\n  {}", line(error)));
        }
        return Err(Verdict::Denied(422, message));
    }
    Ok(Judged { warnings: warnings.into_iter().map(line).collect(), secrets })
}

fn line(Finding { path, code, message, .. }: &Finding) -> String {
    format!("{path}: {code}: {message}")
}

/// The Secrets that a resource names.
fn secrets(kind: Kind, object: &Value) -> BTreeSet<String> {
    match Object::read(kind, &Default::default(), object) {
        Object::Resource(resource) => {
            secret_refs(&resource).into_iter().map(|reference| reference.name.clone()).collect()
        }
        Object::Installation(installation) => token_ref(&installation).map(|it| it.name.clone()).into_iter().collect(),
    }
}
