//! A resource in the making: what it takes of the variables, and why it cannot be made.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value as Json, json};

use crate::{
    api::{Component, rules},
    offline::by_hand::{Section, Text, Value, Variable, documented, read},
};

use super::{
    credential::{Credential, Made},
    faults::Fault,
    ledger::{Added, Ledger, Outcome, Place},
    timbr::Timbr,
};

/// Why a resource cannot be made: the words after "as".
#[derive(Debug)]
pub struct Refusal(pub Cow<'static, str>);

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Self {
        Self(why.into())
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self(why.into())
    }
}

/// A resource in the making.
#[derive(Debug)]
pub struct Draft<'t, 'a> {
    timbr: &'t Timbr<'a>,
    kind: &'static str,
    outcomes: BTreeMap<Place, Outcome>,
    added: Vec<Added>,
    notes: Vec<(Component, String)>,
    made: Vec<Made>,
}

/// A place of a variable that is being asked for.
pub type Asked<'n> = (Component, &'n str);

impl<'t, 'a> Draft<'t, 'a> {
    /// A draft of a resource of a kind.
    pub fn new(timbr: &'t Timbr<'a>, kind: &'static str) -> Self {
        Self { timbr, kind, outcomes: BTreeMap::new(), added: vec![], notes: vec![], made: vec![] }
    }

    fn settle(&mut self, (component, name): Asked<'_>, outcome: Outcome) {
        self.outcomes.insert((component, name.to_owned()), outcome);
    }

    /// The value of a variable, as it is meant; `None` when it is absent, or empty, which is the same.
    ///
    /// # Errors
    /// When nobody can tell what is meant, or the value cannot be had.
    pub fn text(&mut self, asked: Asked<'_>) -> Result<Option<String>, Refusal> {
        let Some(variable) = self.timbr.variable(asked.0, asked.1) else { return Ok(None) };
        if is_empty(variable) {
            self.drop(asked, "is empty");
            return Ok(None);
        }
        if matches!(variable.value, Value::SecretRef { .. }) {
            return Err(self.refuse(
                asked,
                "comes from a Secret, and the resource takes a plain value only; write it as a plain value",
            ));
        }
        match meant(variable) {
            Ok(text) => {
                let meant = text.as_str().to_owned();
                self.settle(asked, Outcome::Kept(text));
                Ok(Some(meant))
            }
            Err(why) => Err(self.refuse(asked, why)),
        }
    }

    /// The value of a variable that the resource cannot do without.
    ///
    /// # Errors
    /// As [`Self::text`], and when it is absent.
    pub fn required(&mut self, asked: Asked<'_>) -> Result<String, Refusal> {
        self.text(asked)?.ok_or_else(|| self.absent(asked))
    }

    fn absent(&self, (component, name): Asked<'_>) -> Refusal {
        match self.elsewhere(component) {
            Some(what) => format!("{name} is set by {what}, if at all, which cannot be seen here").into(),
            None => format!("{name} is not set").into(),
        }
    }

    /// What may set variables of a component that are not in the document.
    fn elsewhere(&self, component: Component) -> Option<&'static str> {
        self.timbr.services.get(&component)?.elsewhere.first().map(|elsewhere| elsewhere.what)
    }

    /// The value of a variable that the resource always writes: if it is absent, `value` is added.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn always(&mut self, asked: Asked<'_>, value: &str) -> Result<String, Refusal> {
        match self.text(asked)? {
            Some(text) => Ok(text),
            None => {
                self.add(asked, value)?;
                Ok(value.to_owned())
            }
        }
    }

    /// Tells that the resource writes a variable that was not there.
    ///
    /// # Errors
    /// When nobody can tell whether it was there: what the resource writes would come first.
    pub fn add(&mut self, (component, name): Asked<'_>, value: &str) -> Result<(), Refusal> {
        if let Some(what) = self.elsewhere(component) {
            return Err(format!("{what} may set {name}, which the resource would set otherwise").into());
        }
        let is_default = documented(name).is_some_and(|known| known.default == Some(value));
        self.added.push(Added { component, name: name.to_owned(), value: value.to_owned(), is_default });
        Ok(())
    }

    /// Whether a variable that is not in the document may be set all the same.
    pub fn is_unseen(&self, (component, _): Asked<'_>) -> bool {
        self.elsewhere(component).is_some()
    }

    /// A value that may come from a Secret.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn credential(&mut self, asked: Asked<'_>) -> Result<Option<Credential>, Refusal> {
        let Some(variable) = self.timbr.variable(asked.0, asked.1) else { return Ok(None) };
        match &variable.value {
            Value::SecretRef { name, key, .. } if rules::SECRET_NAME.holds(name) && rules::SECRET_KEY.holds(key) => {
                self.settle(asked, Outcome::Referenced);
                Ok(Some(Credential::Referenced { name: name.clone(), key: key.clone() }))
            }
            Value::SecretRef { .. } => Err(self.refuse(asked, "names no Secret that can exist; correct secretKeyRef")),
            _ => Ok(self.text(asked)?.map(|text| Credential::Plain(Text::from(text)))),
        }
    }

    /// As [`Self::credential`].
    ///
    /// # Errors
    /// As [`Self::credential`], and when it is absent.
    pub fn required_credential(&mut self, asked: Asked<'_>) -> Result<Credential, Refusal> {
        self.credential(asked)?.ok_or_else(|| self.absent(asked))
    }

    /// The reference under which a resource finds a credential: a plain one goes into the Secret of the
    /// resource `of`.
    pub fn reference(&mut self, of: &str, key: &str, credential: &Credential, variable: &str) -> Json {
        match credential {
            Credential::Referenced { name, key } => json!({"name": name, "key": key}),
            Credential::Plain(text) => {
                let secret = format!("{of}-credentials");
                let reference = json!({"name": secret, "key": key});
                self.made.push(Made {
                    secret,
                    key: key.to_owned(),
                    variable: variable.to_owned(),
                    value: text.clone(),
                });
                reference
            }
        }
    }

    /// No resource writes a variable, and nothing is lost.
    pub fn drop(&mut self, asked: Asked<'_>, why: &str) {
        if self.timbr.variable(asked.0, asked.1).is_some() {
            self.settle(asked, Outcome::Dropped(why.to_owned()));
        }
    }

    /// A variable by itself has no place in the resource.
    pub fn leave(&mut self, asked: Asked<'_>, why: impl Into<String>) {
        if self.timbr.variable(asked.0, asked.1).is_some() {
            self.settle(asked, Outcome::Left(why.into()));
        }
    }

    /// A variable cannot be expressed, and without it the resource would mean something else.
    pub fn refuse(&mut self, asked: Asked<'_>, why: impl Into<String>) -> Refusal {
        self.leave(asked, why);
        format!("{} is left out", asked.1).into()
    }

    /// Something worth knowing.
    pub fn note(&mut self, component: Component, text: impl Into<String>) {
        self.notes.push((component, text.into()));
    }

    /// Whether each value has a place of its own in the Secrets that have to be made.
    fn fits_secrets(&self, ledger: &Ledger) -> Result<(), Refusal> {
        let is_there =
            |made: &&Made| self.timbr.secrets.get(made.secret.as_str()).is_some_and(|there| !made.is_in(&there.data));
        if let Some(Made { secret, .. }) = self.made.iter().find(is_there) {
            return Err(format!(
                "Secret {secret}, which would have to be made, is in the input and holds something else; rename that one"
            )
            .into());
        }
        let is_taken = |made: &&Made| ledger.made.iter().any(|there| there.replaces(made));
        match self.made.iter().find(is_taken) {
            Some(Made { secret, key, .. }) => {
                Err(format!("Secret {secret} would have to hold two different values under the key {key}").into())
            }
            None => Ok(()),
        }
    }

    /// Leaves the variable that is behind a fault, or else all for the fault's reason.
    fn at_fault(&mut self, fault: &Fault, places: &[(Component, &str)]) -> Refusal {
        let behind = fault.variable(self.kind);
        let is_behind = |name: &str| behind.is_some() && documented(name).map(|known| known.name) == behind;
        match places.iter().find(|(_, name)| is_behind(name)) {
            Some(place) => self.refuse(*place, fault.of_variable(self.kind)),
            None => fault.of_resource().into(),
        }
    }

    /// Ends the draft of the resource `name`, to which the variables at `places` belong: what it takes is
    /// entered if there is a spec that nobody refuses, else what is left out.
    pub fn finish(
        mut self,
        name: &str,
        spec: Result<Map<String, Json>, Refusal>,
        places: &[(Component, &str)],
        ledger: &mut Ledger,
    ) -> Option<Json> {
        let spec = spec.and_then(|spec| match ledger.refused.get(&(self.kind.to_owned(), name.to_owned())) {
            Some(fault) => Err(self.at_fault(fault, places)),
            None => self.fits_secrets(ledger).map(|()| spec),
        });
        match spec {
            Ok(spec) => {
                ledger.outcomes.extend(self.outcomes);
                ledger.added.extend(self.added);
                ledger.notes.extend(self.notes);
                ledger.made.extend(self.made);
                Some(self.timbr.resource(self.kind, name, spec))
            }
            Err(Refusal(why)) => {
                let own = |place: &Place| match self.outcomes.get(place) {
                    Some(Outcome::Left(why) | Outcome::Dropped(why)) => Some(why.clone()),
                    _ => None,
                };
                for (component, name) in places {
                    let place = (*component, (*name).to_owned());
                    let variable = self.timbr.variable(*component, name);
                    let unusable = variable.filter(|variable| !is_empty(variable)).and_then(|variable| {
                        if matches!(variable.value, Value::SecretRef { .. }) { None } else { meant(variable).err() }
                    });
                    let why =
                        own(&place).or(unusable).unwrap_or_else(|| format!("{} cannot be made, as {why}", self.kind));
                    ledger.outcomes.entry(place).or_insert(Outcome::Left(why));
                }
                None
            }
        }
    }
}

fn is_empty(variable: &Variable) -> bool {
    variable.text().is_some_and(|text| text.as_str().is_empty())
}

/// The value of a variable as it is meant, or why nobody can tell.
fn meant(variable: &Variable) -> Result<Text, String> {
    let form = variable.documented().map(|known| known.form);
    match (&variable.value, form) {
        (Value::Other(source), _) => Err(source.sentence().to_owned()),
        (Value::Plain(text) | Value::NotText(text), Some(form)) => {
            let mut reading = read(form, text.as_str());
            let why = reading.faults.pop().map(|fault| fault.message);
            reading.meant.ok_or_else(|| why.unwrap_or_default())
        }
        _ => Err("comes from a Secret, and the resource takes a plain value only".to_owned()),
    }
}

/// Whether anything of a section is set.
pub fn is_begun(timbr: &Timbr<'_>, sections: &[Section]) -> bool {
    !timbr.of_sections(sections).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_replaces_another_in_a_secret() {
        let timbr = Timbr::default();
        let mut ledger = Ledger::default();
        let mut make = |name: &str, value: &str| {
            let mut draft = Draft::new(&timbr, "JwtTenant");
            draft.reference("jwt", "key", &Credential::Plain(Text::from(value)), "JWT_DEFAULT_KEY");
            draft.finish(name, Ok(Map::new()), &[], &mut ledger).is_some()
        };
        assert_eq!([make("a", "s3cr3t"), make("b", "other"), make("c", "s3cr3t")], [true, false, true]);
        assert!(ledger.made.iter().all(|made| made.value == Text::from("s3cr3t")));
    }

    #[test]
    fn what_would_be_refused_is_not_made() {
        let timbr = Timbr::default();
        let mut ledger = Ledger::default();
        ledger.refused.insert(("AzureSso".to_owned(), "sso".to_owned()), Fault::default());
        for (name, is_made) in [("sso", false), ("other", true)] {
            let made = Draft::new(&timbr, "AzureSso").finish(name, Ok(Map::new()), &[], &mut ledger);
            assert_eq!(made.is_some(), is_made, "{name}");
        }
    }
}
