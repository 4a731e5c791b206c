//! The NetworkPolicies in front of Timbr's Deployments: which there are to be, and what brings them there.
//!
//! A Deployment has one as soon as an access policy with `networkPolicy.mode: Managed` guards a component that runs in
//! it. It remembers by which policies it is there: one that is deleted opens nothing, so it stays, until a policy of
//! that name says Disabled, or somebody deletes the NetworkPolicy too.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use crate::{
    api::{
        ANNOTATION_POLICIES, Code, FIELD_MANAGER, InboundAccessPolicySpec, LABEL_COMPONENT, LABEL_INSTALLATION,
        LABEL_MANAGED_BY, NetworkMode, NetworkPeer, PolicyTarget, Problem, Reason, Resource, Spec,
    },
    policy::{Policy, State, peers},
};

use super::{
    Access, Guards, Judgement, LiveDeployment, Lookup, Snapshot, Verdict,
    guards::{remembered, removed, words},
    installation::Claims,
    judge::taken_sentence,
    plan::is_ours,
    site::{Site, place_of},
};

/// What a NetworkPolicy is called after the Deployment that it guards.
const SUFFIX: &str = "-identity";

/// The NetworkPolicy in front of a Deployment.
pub fn network_name(deployment: &str) -> String {
    [deployment, SUFFIX].concat()
}

/// The Deployment that a NetworkPolicy of ours guards.
pub fn guarded_by(network: &str) -> &str {
    network.strip_suffix(SUFFIX).unwrap_or(network)
}

/// A live NetworkPolicy.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveNetwork {
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// Whether we made it.
    ours: bool,
    labels: BTreeMap<String, String>,
    /// Our annotation.
    record: Option<String>,
    spec: NetworkPolicySpec,
}

/// Reads a NetworkPolicy.
pub fn live_network(network: NetworkPolicy) -> LiveNetwork {
    let meta = network.metadata;
    let labels = meta.labels.unwrap_or_default();
    let mut spec = network.spec.unwrap_or_default();
    spec.ingress.get_or_insert_default();
    LiveNetwork {
        uid: meta.uid.unwrap_or_default(),
        version: meta.resource_version.unwrap_or_default(),
        ours: labels.get(LABEL_MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER),
        labels,
        record: meta.annotations.and_then(|mut annotations| annotations.remove(ANNOTATION_POLICIES)),
        spec,
    }
}

impl LiveNetwork {
    /// By which policies it is there; nothing that can be read: by none.
    fn guards(&self) -> Guards {
        self.record.as_deref().and_then(|record| serde_json::from_str(record).ok()).unwrap_or_default()
    }

    /// Whether it is as planned.
    fn is(&self, planned: &NetworkPolicy) -> bool {
        let meta = &planned.metadata;
        let record = meta.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION_POLICIES));
        let mut labels = meta.labels.iter().flatten();
        labels.all(|(key, value)| self.labels.get(key) == Some(value))
            && self.record.as_ref() == record
            && Some(&self.spec) == planned.spec.as_ref()
    }
}

/// What is to become of a NetworkPolicy that is not as it ought to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPlan {
    /// Its name.
    pub name: String,
    /// The request.
    pub next: NetworkStep,
}

/// A request about a NetworkPolicy.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkStep {
    /// It is made, or becomes as planned.
    Apply {
        /// The whole of it.
        manifest: Box<NetworkPolicy>,
        /// The version that is there, which is ours; `None`: there was none.
        version: Option<String>,
    },
    /// It goes.
    Delete {
        /// Its uid.
        uid: String,
        /// Its version.
        version: String,
    },
}

/// What the network in front of an installation is to be.
#[derive(Debug, Default)]
pub struct Network {
    /// The requests.
    pub plans: Vec<NetworkPlan>,
    /// NetworkPolicies that outlive the policies that they were made for.
    pub stays: Vec<Problem>,
}

/// How the network lets pods in to one component.
struct Front {
    /// By which policies it is guarded.
    policies: BTreeSet<String>,
    /// Whether one of them is there and says so.
    is_said: bool,
    /// Who may connect; `None`: all, as nothing is enforced.
    peers: Option<Vec<NetworkPolicyPeer>>,
}

impl Front {
    fn is_guarded(&self) -> bool {
        !self.policies.is_empty() && self.peers.is_some()
    }
}

/// Plans the NetworkPolicies of an installation, and says of each access policy that asks for one how it stands.
pub fn plan(
    snapshot: &Snapshot,
    claims: &Claims<'_>,
    sites: &[Site<'_>],
    access: &Access<'_>,
    judgements: &mut [Judgement],
) -> Network {
    // Only where a policy asks for one, or one is there.
    if snapshot.networks.is_empty() {
        return Network::default();
    }
    let guard = Guard { snapshot, claims, sites, access };
    for judgement in judgements.iter_mut() {
        judgement.network = guard.verdict(judgement);
    }
    // Suspended: each stays as it is.
    if snapshot.delivery().is_none() {
        return Network::default();
    }
    let mut network = Network::default();
    for (name, lookup) in &snapshot.networks {
        guard.plan(name, lookup, &mut network);
    }
    network
}

struct Guard<'a, 's> {
    snapshot: &'a Snapshot,
    claims: &'a Claims<'a>,
    sites: &'a [Site<'s>],
    access: &'a Access<'a>,
}

impl Guard<'_, '_> {
    fn plan(&self, name: &str, lookup: &Lookup<LiveNetwork>, network: &mut Network) {
        let (deployment, snapshot) = (guarded_by(name), self.snapshot);
        let there = match lookup {
            Lookup::Found(live) if live.ours => Some(live),
            Lookup::Missing | Lookup::NotInInput => None,
            Lookup::Found(_) | Lookup::Forbidden => return,
        };
        let mut push = |next| network.plans.push(NetworkPlan { name: name.to_owned(), next });
        let delete = |live: &LiveNetwork| NetworkStep::Delete { uid: live.uid.clone(), version: live.version.clone() };
        let Some(site) = self.sites.iter().find(|site| site.name == deployment) else {
            // Of a Deployment that is Timbr's no more.
            if is_ours(self.claims, snapshot, deployment) && self.claims.all_readable() {
                there.into_iter().for_each(|live| push(delete(live)));
            }
            return;
        };
        let fronts = self.fronts(site, there);
        match site.lookup {
            Lookup::Found(live) if fronts.values().any(Front::is_guarded) => {
                let planned = self.manifest(name, site, live, &fronts);
                if !there.is_some_and(|there| there.is(&planned)) {
                    let version = there.map(|there| there.version.clone());
                    push(NetworkStep::Apply { manifest: Box::new(planned), version });
                }
                network.stays.extend(fronts.iter().filter_map(|(target, front)| stays(name, *target, front)));
            }
            Lookup::Found(_) => there.into_iter().for_each(|live| push(delete(live))),
            // With the Deployment goes what was remembered of it.
            Lookup::Missing if fronts.values().all(|front| !front.is_said) => {
                there.into_iter().for_each(|live| push(delete(live)));
            }
            Lookup::Missing | Lookup::Forbidden | Lookup::NotInInput => {}
        }
    }

    /// How the network is to let pods in, by the components that run in a Deployment.
    fn fronts(&self, site: &Site<'_>, there: Option<&LiveNetwork>) -> BTreeMap<PolicyTarget, Front> {
        let before = there.map(LiveNetwork::guards).unwrap_or_default();
        site.targets().map(|target| (target, self.front(target, &before))).collect()
    }

    fn front(&self, target: PolicyTarget, before: &Guards) -> Front {
        let (names, namespace) = (self.claims.names(), &self.snapshot.key.namespace);
        let is_mine = |resource: &&Resource<Spec>| resource.key(&names).as_ref() == Ok(&self.snapshot.key);
        let mine = self.snapshot.resources.iter().filter(is_mine);
        let words = words(self.access, target, mine, |spec| spec.network_policy.mode == NetworkMode::Managed);
        let policies = remembered(before.of(target), &words);
        let guards = Guards::from_iter([(target, policies.clone())]);
        let mut all = self.access.policies.clone();
        all.extend(removed([&guards].into_iter(), namespace, &all));
        let peers = peers(&self.access.trust, target, namespace, &all).map(|mut peers| {
            peers.extend(ingress_from(target, &all).map(peer));
            sorted(peers)
        });
        Front { policies, is_said: words.values().any(|closes| *closes), peers }
    }

    fn manifest(
        &self,
        name: &str,
        site: &Site<'_>,
        live: &LiveDeployment,
        fronts: &BTreeMap<PolicyTarget, Front>,
    ) -> NetworkPolicy {
        let key = &self.snapshot.key;
        let guarded = fronts.iter().filter(|(_, front)| front.is_guarded());
        let guards: Guards = guarded.map(|(target, front)| (*target, front.policies.clone())).collect();
        // A component that nothing guards is open as before, though another runs beside it. And a rule without peers
        // is for everybody.
        let rule = |(target, front): (&PolicyTarget, &Front)| {
            let from = front.peers.clone().filter(|_| front.is_guarded());
            let is_closed = from.as_ref().is_some_and(Vec::is_empty);
            (!is_closed).then(|| NetworkPolicyIngressRule { from, ports: Some(ports(*target, site, live)) })
        };
        let components: Vec<&str> = guards.targets().map(|target| target.component().name()).collect();
        let labels = [
            (LABEL_MANAGED_BY, FIELD_MANAGER.to_owned()),
            (LABEL_COMPONENT, components.join(".")),
            (LABEL_INSTALLATION, key.label()),
        ];
        let record = serde_json::to_string(&guards).unwrap_or_default();
        NetworkPolicy {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(key.namespace.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
                annotations: Some([(ANNOTATION_POLICIES.to_owned(), record)].into()),
                ..Default::default()
            },
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(canonical(&live.selector)),
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(fronts.iter().filter_map(rule).collect()),
                egress: None,
            }),
        }
    }

    /// Delivered, of an access policy that asks for a NetworkPolicy; `None` of anything else.
    fn verdict(&self, judgement: &Judgement) -> Option<Verdict> {
        let (snapshot, meta) = (self.snapshot, &judgement.meta);
        let is_this = |resource: &&Resource<Spec>| resource.meta.kind == meta.kind && resource.meta.name == meta.name;
        let spec = policy_of(snapshot.resources.iter().find(is_this)?)?;
        if spec.network_policy.mode != NetworkMode::Managed {
            return None;
        }
        if !judgement.accepted.is_true() || !judgement.references.is_true() {
            return Some(Verdict::pending("not judged while the conditions above are not met"));
        }
        if judgement.suspended {
            return Some(Verdict::pending("not judged while suspended"));
        }
        let Some((site, _)) = place_of(self.sites, spec.target.component()) else {
            let targets = self.claims.targets(&snapshot.key);
            let deployment = targets.into_iter().find(|target| target.component == spec.target.component())?.deployment;
            return Some(Verdict::no(Reason::Conflict, taken_sentence(self.claims, &deployment)));
        };
        Some(self.judge(spec.target, site))
    }

    fn judge(&self, target: PolicyTarget, site: &Site<'_>) -> Verdict {
        let (snapshot, name) = (self.snapshot, network_name(site.name));
        let namespace = &snapshot.key.namespace;
        if let Some(absence) = site.absence(namespace) {
            return absence;
        }
        let there = match snapshot.networks.get(&name) {
            Some(Lookup::Found(live)) if !live.ours => {
                return Verdict::no(
                    Reason::Conflict,
                    format!(
                        "NetworkPolicy {name} is in the way: it was not made by this operator, which would give its own that name; rename it"
                    ),
                );
            }
            Some(Lookup::Forbidden) => {
                return Verdict::no(
                    Reason::Forbidden,
                    format!(
                        "NetworkPolicy {name}: the operator may not read NetworkPolicies in namespace {namespace}; grant its ServiceAccount get, list, watch, create, patch and delete on networkpolicies.networking.k8s.io there"
                    ),
                );
            }
            Some(Lookup::Found(live)) => Some(live),
            Some(Lookup::Missing | Lookup::NotInInput) | None => None,
        };
        if let Some(failure) = snapshot.unguarded.get(&name) {
            return failure.verdict(&format!("NetworkPolicy {name}"));
        }
        if !self.front(target, &there.map(LiveNetwork::guards).unwrap_or_default()).is_guarded() {
            let target = target.as_str();
            let message = format!("every policy of {target} says enforcement: Audit, so there is no NetworkPolicy");
            return Verdict::yes(Reason::Delivered, message);
        }
        Verdict::yes(
            Reason::Delivered,
            format!("NetworkPolicy {name} lets in the pods that the policies of {} name", target.as_str()),
        )
    }
}

/// What a resource says as an access policy.
fn policy_of(resource: &Resource<Spec>) -> Option<&InboundAccessPolicySpec> {
    match &resource.spec {
        Ok(Spec::InboundAccessPolicy(spec)) => Some(spec),
        _ => None,
    }
}

/// Who else may connect to a component, of the policies that are heard.
fn ingress_from<'a>(target: PolicyTarget, policies: &'a [Policy<'a>]) -> impl Iterator<Item = &'a NetworkPeer> {
    let heard = policies.iter().filter_map(|policy| match policy.state {
        State::Accepted(spec) => Some(spec),
        State::Invalid | State::Removed => None,
    });
    let managed = heard.filter(move |it| it.target == target && it.network_policy.mode == NetworkMode::Managed);
    managed.flat_map(|spec| &spec.network_policy.ingress_from)
}

/// The ports of a component: the usual one, and what its pods say they listen at, but for the containers of other
/// components.
fn ports(target: PolicyTarget, site: &Site<'_>, live: &LiveDeployment) -> Vec<NetworkPolicyPort> {
    let component = target.component();
    let is_others = |container: &str| site.component(container).is_some_and(|it| it != component);
    let declared = live.ports.iter().filter(|port| !is_others(&port.container));
    let declared = declared.map(|port| (port.number, port.protocol.as_str()));
    let ports: BTreeSet<(i32, &str)> = declared.chain([(component.usual_port(), "TCP")]).collect();
    ports
        .into_iter()
        .map(|(number, protocol)| NetworkPolicyPort {
            port: Some(IntOrString::Int(number)),
            protocol: Some(protocol.to_owned()),
            end_port: None,
        })
        .collect()
}

fn stays(name: &str, target: PolicyTarget, front: &Front) -> Option<Problem> {
    let names: Vec<&str> = front.policies.iter().map(String::as_str).collect();
    let (names, target) = (names.join(", "), target.as_str());
    (front.is_guarded() && !front.is_said).then(|| {
        let message = format!(
            "NetworkPolicy {name} stays, and keeps everybody else out of {target}, though InboundAccessPolicy {names} was deleted or is not accepted: what is removed opens nothing; to open it, delete the NetworkPolicy, or make that policy anew with networkPolicy.mode: Disabled"
        );
        Problem::warning("spec", Code::NetworkPolicyStays, message)
    })
}

/// A peer as Kubernetes has it.
fn peer(peer: &NetworkPeer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: peer.pod_selector.as_ref().map(canonical),
        namespace_selector: peer.namespace_selector.as_ref().map(canonical),
        ip_block: peer.ip_block.as_ref().map(|block| IPBlock {
            cidr: block.cidr.clone(),
            except: Some(block.except.clone()).filter(|except| !except.is_empty()),
        }),
    }
}

/// A selector as the API server keeps it: without what is empty.
fn canonical(selector: &LabelSelector) -> LabelSelector {
    let mut selector = selector.clone();
    selector.match_labels = selector.match_labels.filter(|labels| !labels.is_empty());
    selector.match_expressions = selector.match_expressions.filter(|expressions| !expressions.is_empty());
    for expression in selector.match_expressions.iter_mut().flatten() {
        expression.values = expression.values.take().filter(|values| !values.is_empty());
    }
    selector
}

/// Each peer once, in an order that does not depend on that of policies.
fn sorted(peers: Vec<NetworkPolicyPeer>) -> Vec<NetworkPolicyPeer> {
    let by_text = |peer: NetworkPolicyPeer| (serde_json::to_string(&peer).unwrap_or_default(), peer);
    let by_text: BTreeMap<String, NetworkPolicyPeer> = peers.into_iter().map(by_text).collect();
    by_text.into_values().collect()
}
