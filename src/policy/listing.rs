//! Who may use a component, without anybody asking: what its policies list.

use std::fmt;

use serde::Serialize;

use crate::api::{InboundRule, PolicyTarget};

use super::{
    Granted, MatchedRule, Policy, Trust, Workload,
    caller::Identity,
    matching::{self, ALL, Cluster},
    policies::Policies,
};

/// What holds for a component, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Door {
    /// Everybody comes in: no policy speaks of it, and none is required.
    NoPolicy,
    /// Nobody comes in: no policy speaks of it, and one is required.
    PolicyMissing,
    /// Nobody comes in: its policies were removed, which opens nothing.
    PolicyRemoved,
    /// Nobody comes in: its policies are wrong.
    PolicyNotAccepted,
    /// Everybody comes in; of those that are not listed it is said that they would be refused.
    Audit,
    /// Those come in that are listed.
    Enforce,
}

impl Door {
    /// Whether everybody comes in.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::NoPolicy | Self::Audit)
    }
}

/// Somebody who is listed, by one way of knowing them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Who.
    pub who: Who,
    /// How they are known.
    pub known_by: KnownBy,
    /// Where they are listed.
    #[serde(flatten)]
    pub part: MatchedRule,
    /// What they may do besides coming in.
    pub granted: Granted,
    /// Why nobody comes in by this; absent: they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inert: Option<Inert>,
}

/// Who is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind")]
pub enum Who {
    /// An application; `*`: all.
    Application {
        /// Its name.
        application: String,
        /// Its namespace.
        namespace: String,
        /// Its cluster; absent: this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
    },
    /// The direct members of a group.
    Group {
        /// Its Object ID.
        id: String,
    },
    /// Every user.
    AllUsers,
}

/// How somebody is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum KnownBy {
    /// By the name that Kubernetes vouches for.
    Name,
    /// By the client id in a token of a directory.
    ClientId {
        /// The client id.
        client_id: String,
        /// The directory; absent: nobody knows which.
        #[serde(skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
    },
    /// By a token of the directory that people sign in to.
    Token {
        /// The directory; absent: nobody knows which.
        #[serde(skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
    },
}

/// Why nobody comes in by an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Inert {
    /// The rule names a cluster, and this one has no name.
    ClusterUnknown,
    /// Nobody knows whose tokens count.
    DirectoryUnknown,
}

/// What holds for a component, and whom its policies list, in their order.
pub fn listing(trust: &Trust, target: PolicyTarget, policies: &[Policy<'_>]) -> (Door, Vec<Entry>) {
    let policies = Policies::of(target, policies);
    let rules = policies.rules().flat_map(|(part, policy, rule)| of_rule(rule, policy.namespace, &part, trust));
    let users = policies.heard().flat_map(|(policy, spec)| {
        let user = |who, path: String| Entry {
            who,
            known_by: KnownBy::Token { directory: trust.directory.clone() },
            part: policy.part(path),
            granted: Granted::default(),
            inert: trust.directory.is_none().then_some(Inert::DirectoryUnknown),
        };
        let all = spec.allow_all_users.then(|| user(Who::AllUsers, "spec.allowAllUsers".to_owned()));
        let groups = spec.claims.groups.iter().enumerate().map(move |(i, group)| {
            user(Who::Group { id: group.id.to_ascii_lowercase() }, format!("spec.claims.groups[{i}]"))
        });
        all.into_iter().chain(groups)
    });
    (policies.door(trust), rules.chain(users).collect())
}

/// A rule names an application, and may name the client of its tokens. An application that it names may be registered:
/// then that is its client too.
fn of_rule(rule: &InboundRule, namespace: &str, part: &MatchedRule, trust: &Trust) -> Vec<Entry> {
    let cluster = matching::cluster(rule, trust);
    let is_inert = cluster == Cluster::Unknown;
    let entry = |known_by, inert: Option<Inert>| Entry {
        who: Who::Application {
            application: rule.application.clone(),
            namespace: rule.namespace.as_deref().unwrap_or(namespace).to_owned(),
            cluster: if cluster == Cluster::This { None } else { rule.cluster.clone() },
        },
        known_by,
        part: part.clone(),
        granted: Granted::of(rule),
        inert: if is_inert { Some(Inert::ClusterUnknown) } else { inert },
    };
    let by_id = rule.client_id.as_ref().map(|client| {
        let directory = matching::directory(rule, trust).map(|directory| directory.to_ascii_lowercase());
        let inert = directory.is_none().then_some(Inert::DirectoryUnknown);
        entry(KnownBy::ClientId { client_id: client.to_ascii_lowercase(), directory }, inert)
    });
    let registered = trust.registered.iter().filter_map(|(client, workload)| {
        let identity = Identity::Application(Some(workload.clone().seen_from(trust)), None);
        let who = Who::of(workload.clone().seen_from(trust))?;
        let directory = trust.directory.clone();
        let inert = directory.is_none().then_some(Inert::DirectoryUnknown);
        let by_registration = Entry { who, ..entry(KnownBy::ClientId { client_id: client.clone(), directory }, inert) };
        matching::admits(rule, namespace, &identity, trust).then_some(by_registration)
    });
    [entry(KnownBy::Name, None)].into_iter().chain(by_id).chain(registered).collect()
}

impl Who {
    /// One workload.
    fn of(Workload { application, namespace, cluster }: Workload) -> Option<Self> {
        Some(Who::Application { application: application?, namespace, cluster })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Application { application, namespace, cluster } => {
                match application.as_str() {
                    ALL => f.write_str("every application")?,
                    name => write!(f, "application {name}")?,
                }
                match namespace.as_str() {
                    ALL => f.write_str(" of every namespace")?,
                    name => write!(f, " of namespace {name}")?,
                }
                cluster.as_ref().map_or(Ok(()), |cluster| write!(f, ", cluster {cluster}"))
            }
            Who::Group { id } => write!(f, "direct members of group {id}"),
            Who::AllUsers => f.write_str("every user"),
        }
    }
}

impl fmt::Display for KnownBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |directory: &Option<String>| match directory {
            Some(directory) => format!("of directory {directory}"),
            None => "of a directory that is not known".to_owned(),
        };
        match self {
            KnownBy::Name => f.write_str("its name"),
            KnownBy::ClientId { client_id, directory } => write!(f, "client id {client_id} {}", of(directory)),
            KnownBy::Token { directory } => write!(f, "a token {}", of(directory)),
        }
    }
}

impl Inert {
    /// Why, and what to do about it.
    pub const fn why(self) -> &'static str {
        match self {
            Inert::ClusterUnknown => {
                "the rule names a cluster, and nobody can tell whether that is this one: give this one a name (--cluster-name)"
            }
            Inert::DirectoryUnknown => {
                "nobody knows whose tokens count: add an AzureSso with the GUID of the directory as tenantId; a rule may name its own in tenantId"
            }
        }
    }
}
