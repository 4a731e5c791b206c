//! What the watches tell.

use crate::{
    api::{Kind, Object, PolicyTarget},
    compose::{Consumer, LiveGuards, OurSecret},
};

use super::Record;

/// Something that a watch has seen.
#[derive(Clone, Debug)]
pub enum Change {
    /// One of our objects is there, or is there anew, in this version.
    Object(Box<Object>, Option<Version>),
    /// One of our objects is gone.
    ObjectGone {
        /// Its kind.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Deployment was seen.
    Deployment {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Whether it is there and carries our label.
        managed: bool,
        /// Its version, when it is there.
        version: Option<Version>,
    },
    /// A Secret was seen, or is gone.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// When it is there and made by us, or called as if it were: the label that names its installation.
        installation: Option<String>,
        /// When it is there and surely made by us: all that there is to know of it.
        ours: Option<OurSecret>,
    },
    /// The record of a namespace's access policies was seen, or is gone.
    Guards {
        /// Its namespace.
        namespace: String,
        /// What it says, when it is there.
        seen: Option<Box<LiveGuards>>,
    },
    /// A NetworkPolicy that we made was seen, or is gone.
    Network {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Whether it is there.
        is_there: bool,
    },
    /// A namespace was seen, or is gone.
    Namespace {
        /// Its name.
        name: String,
        /// The organization that it belongs to by its label.
        organization: Option<String>,
    },
    /// A pod that uses a component of Timbr was seen, or is gone.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The component.
        target: PolicyTarget,
        /// When it is there and uses one: the namespace of that Timbr, and who it is.
        seen: Option<(String, Box<Consumer>)>,
    },
    /// The claim to a namespace was seen, or is gone.
    Claim {
        /// The namespace.
        namespace: String,
        /// What it says.
        record: Option<Record>,
    },
}

impl Change {
    /// Whether providers of the namespace may be others then, or belong elsewhere.
    pub(super) fn is_of_providers(&self) -> bool {
        let kind = match self {
            Change::Object(object, _) => object.meta().kind,
            Change::ObjectGone { kind, .. } => *kind,
            _ => return false,
        };
        matches!(kind, Kind::ExternalTokenProvider | Kind::TimbrInstallation)
    }

    /// Its namespace.
    pub(super) fn namespace(&self) -> &str {
        match self {
            Change::Object(object, _) => &object.meta().namespace,
            Change::ObjectGone { namespace, .. }
            | Change::Deployment { namespace, .. }
            | Change::Secret { namespace, .. }
            | Change::Pod { namespace, .. }
            | Change::Network { namespace, .. }
            | Change::Guards { namespace, .. }
            | Change::Claim { namespace, .. } => namespace,
            Change::Namespace { name, .. } => name,
        }
    }
}

/// A resource version as a number. The API server counts them up; one that is no number tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// What a watch watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Objects of one of our kinds.
    Object(Kind),
    /// Deployments that carry our label.
    Deployment,
    /// Secrets that we made.
    Secret,
    /// Namespaces that are labelled with their organization.
    Namespace,
    /// NetworkPolicies that we made.
    Network,
    /// Pods that use a component.
    Pod(PolicyTarget),
    /// Claims to namespaces.
    Claim,
}
