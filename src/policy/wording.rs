//! Decisions in sentences: who, why, and what to do about it.

use crate::api::{GUARDS_SECRET, InboundRule, foreign};

use super::{
    CallerKind, CallerName, Claims, Code, MatchedRule, Workload,
    caller::Identity,
    decide::{Admission, Case},
    matching::{self, Cluster},
};

impl Case<'_> {
    /// Why the caller comes in.
    pub(super) fn admitted(&self, admission: &Admission) -> String {
        let target = self.target.as_str();
        if admission.code == Code::NoPolicy {
            return format!("everybody may use {target}: no InboundAccessPolicy speaks of it");
        }
        let by: Vec<_> = admission.matched.iter().map(MatchedRule::title).collect();
        format!("{} may use {target}, by {}", self.identity.title(), by.join("; "))
    }

    /// Why the caller does not come in, and what to do about it.
    pub(super) fn refused(&self, code: Code) -> String {
        let (who, titles, target) = (self.identity.title(), self.policies.titles(), self.target.as_str());
        match code {
            Code::PolicyMissing => format!(
                "nobody may use {target}: no InboundAccessPolicy speaks of it, and accessPolicy is Required; write one with target: {target} that admits {who}"
            ),
            Code::PolicyRemoved => format!(
                "nobody may use {target}: {titles} was removed, which opens nothing; write one with target: {target} that admits {who}, or, to let everybody in, write it again with enforcement: Audit, and delete it once it is Ready (or delete Secret {GUARDS_SECRET})"
            ),
            Code::PolicyNotAccepted => {
                format!("{titles} is not accepted, and admits nobody until it is mended; see its status")
            }
            Code::NoRuleMatched => match self.identity {
                Identity::Application(Some(workload), _) => self.no_rule(workload),
                _ => format!("no rule of {titles} admits {who}"),
            },
            Code::CallerUnknown => self.nobody_known(),
            Code::IssuerNotTrusted => self.not_by_this_issuer(),
            Code::GroupsNotInToken => format!(
                "{titles} lists groups, and the token of {who} does not: it has more than a token can hold; in the app registration, let tokens hold only the groups that are assigned to the application"
            ),
            Code::UserNotListed => {
                let lists_groups = self.policies.heard().any(|(_, spec)| !spec.claims.groups.is_empty());
                if lists_groups {
                    format!(
                        "{who} is a direct member of no group that {titles} lists; membership through another group does not count; add a group of theirs to spec.claims.groups, or them to a listed one"
                    )
                } else {
                    format!(
                        "{titles} admits no users, and so not {who}; list groups in spec.claims.groups, or set spec.allowAllUsers"
                    )
                }
            }
            Code::NoPolicy | Code::RuleMatched | Code::GroupMatched | Code::AllUsers | Code::AuditOnly => {
                self.target.as_str().to_owned()
            }
        }
    }

    fn no_rule(&self, workload: &Workload) -> String {
        let inert = self.rule(|rule, _| matching::cluster(rule, self.trust) == Cluster::Unknown);
        let inert = inert.map_or_else(String::new, |part| {
            format!("; {} names a cluster and matches nobody, as this one has no name (--cluster-name)", part.title())
        });
        let fix = match matching::rule_for(workload, self.policies.namespace(), self.trust) {
            Some(rule) => format!("add to spec.inbound.rules: {}", inline(&rule)),
            None if workload.application.is_none() => {
                "give its pods the label app.kubernetes.io/name, and add a rule with that name".to_owned()
            }
            None => "start the operator with --cluster-name, and add a rule that names the other cluster".to_owned(),
        };
        let removed = self.policies.removed().map_or_else(String::new, |titles| {
            format!(
                "; {titles} was removed, which opens nothing: write it again with enforcement: Audit, and delete it once it is Ready (or delete Secret {GUARDS_SECRET})"
            )
        });
        format!("no rule of {} admits {}{inert}; {fix}{removed}", self.policies.titles(), self.identity.title())
    }

    /// Of an application that no rule names by its id.
    fn nobody_known(&self) -> String {
        let Identity::Application(_, Some(claims)) = self.identity else { return String::new() };
        let shown = claims.client_name.as_deref().and_then(of_display).and_then(|workload| {
            let identity = Identity::Application(Some(workload.seen_from(self.trust)), None);
            self.rule(|rule, namespace| matching::admits(rule, namespace, &identity, self.trust))
        });
        let shown = shown.map_or_else(String::new, |part| {
            format!(
                "; the name in the token would match {}, but whoever registers an application chooses its name",
                part.title()
            )
        });
        let titles = self.policies.titles();
        match claims.client.as_deref() {
            Some(client) => format!(
                "no rule of {titles} names the client id of {}{shown}; to let it in, add to its rule: clientId: {}",
                self.identity.title(),
                printable(client)
            ),
            None => format!("the token has no client id (azp, appid), so no rule of {titles} can name its application"),
        }
    }

    fn not_by_this_issuer(&self) -> String {
        let directory = self.trust.directory.as_deref();
        match self.identity {
            Identity::Application(_, Some(claims)) => {
                let part = self.rule(|rule, _| matching::is_client(rule, claims));
                let part = part.map(|part| part.title()).unwrap_or_default();
                format!(
                    "{part} names {}, and takes no token of {} for it, but of the directory in its tenantId, else of the one that people sign in to ({}); set tenantId to the directory that issues the token, if it is to be trusted",
                    self.identity.title(),
                    foreign(&claims.issuer),
                    directory.unwrap_or("unknown: no AzureSso has a GUID as tenantId")
                )
            }
            Identity::User(claims) => match directory {
                Some(directory) => format!(
                    "users come in by tokens of the directory that people sign in to, {directory}, and the token of {} is of {}",
                    self.identity.title(),
                    foreign(&claims.issuer)
                ),
                None => format!(
                    "users come in by tokens of the directory that people sign in to, which is not known, and the token of {} is of {}; add an AzureSso, with the GUID of the directory as tenantId",
                    self.identity.title(),
                    foreign(&claims.issuer)
                ),
            },
            Identity::Application(_, None) => String::new(),
        }
    }

    /// The first rule of which this is so.
    fn rule(&self, is_so: impl Fn(&InboundRule, &str) -> bool) -> Option<MatchedRule> {
        self.policies.rules().find(|(_, policy, rule)| is_so(rule, policy.namespace)).map(|(part, ..)| part)
    }
}

impl MatchedRule {
    /// In a sentence.
    fn title(&self) -> String {
        format!("InboundAccessPolicy {}, {}", self.policy, self.path)
    }
}

impl Identity<'_> {
    /// Who it is, in a sentence.
    fn title(&self) -> String {
        match self {
            Identity::Application(Some(workload), _) => title(workload),
            Identity::Application(None, claims) => {
                let client = claims.and_then(|claims| claims.client.as_deref());
                client.map_or("the application".to_owned(), |client| format!("application {}", printable(client)))
            }
            Identity::User(Claims { name, subject, .. }) => {
                format!("user {}", foreign(name.as_deref().unwrap_or(subject)))
            }
        }
    }

    /// Who it is, as data.
    pub(super) fn name(&self) -> CallerName {
        match self {
            Identity::Application(Some(workload), token) => {
                let Workload { application, namespace, cluster } = workload;
                let parts = [cluster.as_deref(), Some(namespace), application.as_deref()];
                CallerName {
                    kind: if token.is_some() { CallerKind::Application } else { CallerKind::Workload },
                    id: parts.into_iter().flatten().collect::<Vec<_>>().join("/"),
                    name: application.clone(),
                }
            }
            Identity::Application(None, claims) => CallerName {
                kind: CallerKind::Application,
                id: claims.and_then(|claims| claims.client.clone()).unwrap_or_default(),
                name: claims.and_then(|claims| claims.client_name.clone()),
            },
            Identity::User(claims) => {
                CallerName { kind: CallerKind::User, id: claims.subject.clone(), name: claims.name.clone() }
            }
        }
    }
}

/// A workload, in a sentence.
fn title(Workload { application, namespace, cluster }: &Workload) -> String {
    let who = match application {
        Some(name) => format!("application {name} of namespace {namespace}"),
        None => format!("an application of namespace {namespace} that has no name"),
    };
    cluster.as_ref().map_or(who.clone(), |cluster| format!("{who}, cluster {cluster}"))
}

/// An id of somebody else's: quoted, unless it is one as it should be.
fn printable(id: &str) -> String {
    let is_plain =
        !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain { id.to_owned() } else { foreign(id) }
}

/// A rule on one line: JSON, which is YAML whatever the names are (`no` is one).
fn inline(InboundRule { application, namespace, cluster, .. }: &InboundRule) -> String {
    let fields = [("application", Some(application)), ("namespace", namespace.as_ref()), ("cluster", cluster.as_ref())];
    let fields = fields.iter().filter_map(|(name, value)| Some(format!("\"{name}\": \"{}\"", (*value)?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// What NAIS calls an application at Entra: `cluster:namespace:application`.
fn of_display(name: &str) -> Option<Workload> {
    let mut parts = name.splitn(3, ':').map(str::to_owned);
    let (cluster, namespace, application) = (parts.next(), parts.next()?, parts.next());
    Some(Workload { application: Some(application?), namespace, cluster })
}
