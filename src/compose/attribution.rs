//! Which resource caused which variable: the annotation on the Deployment.
//!
//! What is ours is decided by managed fields alone; this says whose it is, so that a resource that
//! turns invalid keeps what it delivered, and a deleted one loses it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    displaced::Displaced,
    ownership::{Place, PlaceRef, by_ref},
};

/// The field that tells which variables outlive their holders.
pub const RETAINED: &str = "\"retained\"";

/// The field that tells what stood in the place of a variable.
pub const DISPLACED: &str = "\"displaced\"";

/// The annotation's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    v: u32,
    /// `<container>/<VARIABLE>` → holders (`Kind/name`).
    #[serde(default)]
    vars: BTreeMap<String, BTreeSet<String>>,
    /// `<container>/<VARIABLE>` that stay when their holder is deleted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    retained: BTreeSet<String>,
    /// `<container>/<VARIABLE>` → what stood there before we adopted it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    displaced: BTreeMap<String, Displaced>,
    /// For the person who finds variables that nobody holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Default for Attribution {
    fn default() -> Self {
        Self { v: 1, vars: BTreeMap::new(), retained: BTreeSet::new(), displaced: BTreeMap::new(), note: None }
    }
}

impl Attribution {
    /// Reads the annotation; `None` when it is not there or is none of ours.
    pub fn read(annotation: Option<&str>) -> Option<Self> {
        let read: Self = serde_json::from_str(annotation?).ok()?;
        (read.v == 1).then_some(read)
    }

    /// The annotation's text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Records a holder of a variable.
    pub fn add(&mut self, place: PlaceRef<'_>, holder: &str) {
        self.vars.entry(key(place)).or_default().insert(holder.to_owned());
    }

    /// Records that a variable stays when its holder is deleted.
    pub fn retain(&mut self, place: PlaceRef<'_>) {
        self.retained.insert(key(place));
    }

    /// Records what stood in a variable's place.
    pub fn displace(&mut self, place: PlaceRef<'_>, displaced: Displaced) {
        self.displaced.insert(key(place), displaced);
    }

    /// What stood in a variable's place before it was adopted.
    pub fn displaced(&self, place: PlaceRef<'_>) -> Option<&Displaced> {
        self.displaced.get(&key(place))
    }

    /// Leaves a note.
    pub fn note(&mut self, note: &str) {
        self.note = Some(note.to_owned());
    }

    /// The variables that are ours: they have holders, or outlived them.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.vars.keys().chain(self.retained.iter().filter(|key| !self.vars.contains_key(*key))).filter_map(place)
    }

    /// The variables that outlive their holders.
    pub fn retained(&self) -> impl Iterator<Item = Place> {
        self.retained.iter().filter_map(place)
    }

    /// Whether a variable outlives its holders.
    pub fn is_retained(&self, place: PlaceRef<'_>) -> bool {
        self.retained.contains(&key(place))
    }

    /// The holders of anything.
    pub fn all_holders(&self) -> impl Iterator<Item = &str> {
        self.vars.values().flatten().map(String::as_str)
    }

    /// Whether a resource holds anything.
    pub fn has(&self, holder: &str) -> bool {
        self.vars.values().any(|holders| holders.contains(holder))
    }

    /// What it says of some places.
    pub fn among(&self, places: &BTreeSet<Place>) -> Self {
        let keys: BTreeSet<String> = places.iter().map(|place| key(by_ref(place))).collect();
        let mut among = self.clone();
        among.vars.retain(|key, _| keys.contains(key));
        among.retained.retain(|key| keys.contains(key));
        among.displaced.retain(|key, _| keys.contains(key));
        among
    }

    /// The holders of a variable.
    pub fn holders(&self, place: PlaceRef<'_>) -> impl Iterator<Item = &str> {
        self.vars.get(&key(place)).into_iter().flatten().map(String::as_str)
    }
}

fn place(key: impl AsRef<str>) -> Option<Place> {
    let (container, variable) = key.as_ref().split_once('/')?;
    Some((container.to_owned(), variable.to_owned()))
}

fn key((container, variable): PlaceRef<'_>) -> String {
    [container, "/", variable].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_survives_anything_else() {
        let place = ("timbr", "A");
        let mut attribution = Attribution::default();
        attribution.add(place, "AzureSso/sso");
        assert_eq!(attribution.write(), r#"{"v":1,"vars":{"timbr/A":["AzureSso/sso"]}}"#);
        assert_eq!(Attribution::read(Some(&attribution.write())), Some(attribution.clone()));
        assert_eq!(attribution.holders(place).collect::<Vec<_>>(), ["AzureSso/sso"]);
        for broken in [None, Some(""), Some("[]"), Some("{\"vars\":3}"), Some("{\"v\":2,\"vars\":{}}")] {
            assert_eq!(Attribution::read(broken), None);
        }
    }

    #[test]
    fn it_tells_of_places_and_of_holders() {
        let place = |variable: &str| ("timbr".to_owned(), variable.to_owned());
        let text = r#"{
            "v": 1, "vars": {"timbr/A": ["AzureSso/sso"], "timbr/B": ["JwtTenant/acme"]}, "retained": ["timbr/A", "timbr/C"],
            "displaced": {"timbr/A": {"manager": "helm", "operation": "Update", "entry": {"name": "A"}, "fields": null}}
        }"#;
        let attribution = Attribution::read(Some(text)).expect("it can be read");
        let places = |it: &Attribution| it.places().collect::<Vec<_>>();
        assert_eq!(places(&attribution), [place("A"), place("B"), place("C")]);
        assert_eq!(attribution.retained().collect::<Vec<_>>(), [place("A"), place("C")]);
        let displaced = |it: &Attribution| it.displaced(("timbr", "A")).map(|it| it.owner().manager);
        assert_eq!(displaced(&attribution).as_deref(), Some("helm"));
        assert!(attribution.has("AzureSso/sso") && attribution.has("JwtTenant/acme") && !attribution.has("AzureSso"));
        let among = attribution.among(&BTreeSet::from([place("A"), place("D")]));
        assert_eq!((places(&among), displaced(&among).as_deref()), (vec![place("A")], Some("helm")));
        let among = attribution.among(&BTreeSet::from([place("B"), place("C")]));
        assert_eq!((places(&among), displaced(&among)), (vec![place("B"), place("C")], None));
        assert_eq!(among.retained().collect::<Vec<_>>(), [place("C")]);
    }
}
