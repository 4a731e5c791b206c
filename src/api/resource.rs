//! One resource as the engine sees it, whatever its kind and wherever it came from.

use std::{cmp::Ordering, fmt};

use jiff::Timestamp;

use super::{AzureSsoSpec, AzureSsoStatus, CommonStatus, TimbrInstallationStatus};

/// The kinds of this API group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Single sign-on.
    AzureSso,
    /// Where a Timbr runs.
    TimbrInstallation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::AzureSso, Kind::TimbrInstallation];

    /// The kind as manifests spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::AzureSso => "AzureSso",
            Kind::TimbrInstallation => "TimbrInstallation",
        }
    }

    /// The resource name in API paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Kind::AzureSso => "azuressos",
            Kind::TimbrInstallation => "timbrinstallations",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid; empty offline.
    pub uid: String,
    /// The generation; 0 offline.
    pub generation: i64,
    /// When it was created; `None` offline.
    pub created: Option<Timestamp>,
    /// The annotation by which a person asks for another look.
    pub requested_at: Option<String>,
}

impl Meta {
    /// Age order: where two resources want one thing, the lesser (older) has it. Offline there is
    /// no age, and kind and name decide.
    pub fn age_order(&self, other: &Self) -> Ordering {
        // None is the youngest.
        let created = |meta: &Self| meta.created.unwrap_or(Timestamp::MAX);
        created(self)
            .cmp(&created(other))
            .then_with(|| self.uid.cmp(&other.uid))
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| self.name.cmp(&other.name))
    }

    /// `Kind/name`: how attribution and messages name a resource.
    pub fn holder(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// The spec of a resource that feeds an installation.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Single sign-on.
    AzureSso(AzureSsoSpec),
}

/// A spec that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where and why; never a value.
    pub error: String,
    /// What `installationRef` names all the same; `Err` when that cannot be read either. A resource
    /// keeps its place, and is never guessed into another.
    pub installation_ref: Result<Option<String>, ()>,
}

impl From<&str> for Unreadable {
    fn from(error: &str) -> Self {
        Self { error: error.to_owned(), installation_ref: Ok(None) }
    }
}

/// A resource: who it is, what it asks for, what was last said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource<S = Spec> {
    /// Who it is.
    pub meta: Meta,
    /// What it asks for, or why that cannot be read.
    pub spec: Result<S, Unreadable>,
    /// What the operator last said.
    pub status: Option<Status>,
}

/// The status of a resource, by kind.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Of an AzureSso.
    AzureSso(AzureSsoStatus),
    /// Of a TimbrInstallation.
    TimbrInstallation(TimbrInstallationStatus),
}

impl Status {
    /// What all kinds say.
    pub fn common(&self) -> &CommonStatus {
        match self {
            Status::AzureSso(status) => &status.common,
            Status::TimbrInstallation(status) => &status.common,
        }
    }
}
