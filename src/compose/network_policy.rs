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
        apis::meta::v1::{LabelSelector, ManagedFieldsEntry, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use crate::{
    api::{
        ANNOTATION_NOTE, ANNOTATION_POLICIES, Code, FIELD_MANAGER, InboundAccessPolicySpec, LABEL_COMPONENT,
        LABEL_INSTALLATION, LABEL_MANAGED_BY, NetworkMode, NetworkPeer, PolicyTarget, Problem, Reason, Resource, Spec,
    },
    policy::{Policy, State, peers},
};

use super::{
    Access, Guards, Judgement, LiveDeployment, Lookup, Snapshot, Verdict,
    guards::{UNKNOWN, Words, note, remembered},
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

/// What messages call it.
pub fn network_title(name: &str) -> String {
    format!("NetworkPolicy {name}")
}

/// The Deployment that a NetworkPolicy of ours guards; `None` of one that is not called as ours are.
pub fn guarded_by(network: &str) -> Option<&str> {
    network.strip_suffix(SUFFIX)
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
    annotations: BTreeMap<String, String>,
    spec: NetworkPolicySpec,
}

/// Reads a NetworkPolicy.
pub fn live_network(network: NetworkPolicy) -> LiveNetwork {
    let meta = network.metadata;
    let labels = meta.labels.unwrap_or_default();
    let mut spec = network.spec.unwrap_or_default();
    spec.ingress.get_or_insert_default();
    spec.egress = spec.egress.filter(|egress| !egress.is_empty());
    // A label is copied easily, with the rest of an object.
    let is_made_by_us = |entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some())
    };
    LiveNetwork {
        uid: meta.uid.unwrap_or_default(),
        version: meta.resource_version.unwrap_or_default(),
        ours: meta.managed_fields.iter().flatten().any(is_made_by_us),
        labels,
        annotations: meta.annotations.unwrap_or_default(),
        spec,
    }
}

impl LiveNetwork {
    /// By which policies it is there.
    fn guards(&self, targets: impl Iterator<Item = PolicyTarget>) -> Guards {
        Guards::read(self.annotations.get(ANNOTATION_POLICIES), targets)
    }

    /// Whether it is as planned.
    fn is(&self, planned: &NetworkPolicy) -> bool {
        let meta = &planned.metadata;
        let mut labels = meta.labels.iter().flatten();
        let is_annotated = |key: &str| {
            let planned = meta.annotations.as_ref().and_then(|annotations| annotations.get(key));
            self.annotations.get(key) == planned
        };
        labels.all(|(key, value)| self.labels.get(key) == Some(value))
            && [ANNOTATION_POLICIES, ANNOTATION_NOTE].into_iter().all(is_annotated)
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
        let Some(deployment) = guarded_by(name) else { return };
        let there = match lookup {
            Lookup::Found(live) if live.ours => Some(live),
            Lookup::Missing | Lookup::NotInInput => None,
            Lookup::Found(_) | Lookup::Forbidden => return,
        };
        let mut push = |next| network.plans.push(NetworkPlan { name: name.to_owned(), next });
        let delete = |live: &LiveNetwork| NetworkStep::Delete { uid: live.uid.clone(), version: live.version.clone() };
        let is_there = |site: &&Site<'_>| site.name == deployment && site.targets().next().is_some();
        let Some(site) = self.sites.iter().find(is_there) else {
            there.filter(|live| self.is_over(deployment, live)).into_iter().for_each(|live| push(delete(live)));
            return;
        };
        let fronts = self.fronts(site, there);
        match site.lookup {
            Lookup::Found(live) if fronts.values().any(Front::is_guarded) => {
                let stays: Vec<Problem> =
                    fronts.iter().filter_map(|(target, front)| stays(name, *target, front)).collect();
                let planned = self.manifest(name, site, live, &fronts, &stays);
                if !there.is_some_and(|there| there.is(&planned)) {
                    let version = there.map(|there| there.version.clone());
                    push(NetworkStep::Apply { manifest: Box::new(planned), version });
                }
                network.stays.extend(stays);
            }
            Lookup::Found(_) => there.into_iter().for_each(|live| push(delete(live))),
            // It may come back.
            Lookup::Missing if fronts.values().all(|front| front.policies.is_empty()) => {
                there.into_iter().for_each(|live| push(delete(live)));
            }
            Lookup::Missing | Lookup::Forbidden | Lookup::NotInInput => {}
        }
    }

    /// Whether nothing is left to guard in front of a Deployment that is Timbr's no more, as far as anybody says: it is
    /// gone, or none of the policies that had it guarded wants that any longer. A name that was mistyped opens nothing.
    fn is_over(&self, deployment: &str, live: &LiveNetwork) -> bool {
        if !is_ours(self.claims, self.snapshot, deployment) || !self.claims.all_readable() {
            return false;
        }
        if self.snapshot.deployments.get(deployment) == Some(&Lookup::Missing) {
            return true;
        }
        let before = live.guards(PolicyTarget::ALL.into_iter());
        let is_over = |target: PolicyTarget| {
            let words = Words::of(self.access, target, self.snapshot.resources.iter(), asks);
            remembered(before.of(target), &words).is_empty()
        };
        before.targets().all(is_over)
    }

    /// How the network is to let pods in, by the components that run in a Deployment.
    fn fronts(&self, site: &Site<'_>, there: Option<&LiveNetwork>) -> BTreeMap<PolicyTarget, Front> {
        let before = self.before(site, there);
        site.targets().map(|target| (target, self.front(target, &before))).collect()
    }

    /// By which policies what runs in a Deployment was guarded.
    fn before(&self, site: &Site<'_>, there: Option<&LiveNetwork>) -> Guards {
        there.map(|live| live.guards(site.targets())).unwrap_or_default()
    }

    fn front(&self, target: PolicyTarget, before: &Guards) -> Front {
        let (names, namespace) = (self.claims.names(), &self.snapshot.key.namespace);
        let is_mine = |resource: &&Resource<Spec>| resource.key(&names).as_ref() == Ok(&self.snapshot.key);
        let mine = self.snapshot.resources.iter().filter(is_mine);
        let words = Words::of(self.access, target, mine, asks);
        let policies = remembered(before.of(target), &words);
        let guards = Guards::from_iter([(target, policies.clone())]);
        let mut all = self.access.policies.clone();
        all.extend(guards.removed(namespace, &all));
        let peers = peers(&self.access.trust, target, namespace, &all).map(|mut peers| {
            peers.extend(ingress_from(target, &all).map(peer));
            sorted(peers)
        });
        Front { policies, is_said: words.close(), peers }
    }

    fn manifest(
        &self,
        name: &str,
        site: &Site<'_>,
        live: &LiveDeployment,
        fronts: &BTreeMap<PolicyTarget, Front>,
        stays: &[Problem],
    ) -> NetworkPolicy {
        let key = &self.snapshot.key;
        let guarded = fronts.iter().filter(|(_, front)| front.is_guarded());
        let guards: Guards = guarded.map(|(target, front)| (*target, front.policies.clone())).collect();
        let ports = |target: PolicyTarget| ports(target, site, live);
        let closed: BTreeSet<Port> = guards.targets().flat_map(ports).collect();
        // A component that nothing guards is open as before, though another runs beside it; but for what is the other's.
        // And a rule without peers is for everybody.
        let rule = |(target, front): (&PolicyTarget, &Front)| {
            let (from, mut ports) = (front.peers.clone().filter(|_| front.is_guarded()), ports(*target));
            if from.is_none() {
                ports.retain(|port| !closed.contains(port));
            }
            let is_closed = from.as_ref().is_some_and(Vec::is_empty) || ports.is_empty();
            (!is_closed).then(|| NetworkPolicyIngressRule { from, ports: Some(ports.into_iter().map(port).collect()) })
        };
        let components: Vec<&str> = guards.targets().map(|target| target.component().name()).collect();
        let labels = [
            (LABEL_MANAGED_BY, FIELD_MANAGER.to_owned()),
            (LABEL_COMPONENT, components.join(".")),
            (LABEL_INSTALLATION, key.label()),
        ];
        let annotations = [(ANNOTATION_POLICIES, Some(guards.write())), (ANNOTATION_NOTE, note(stays))];
        let annotations = annotations.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        NetworkPolicy {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(key.namespace.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
                annotations: Some(annotations.collect()),
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
        if !asks(spec) {
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
        if let Some(failure) = snapshot.unguarded.get(&network_title(&name)) {
            return failure.verdict(&network_title(&name));
        }
        if !self.front(target, &self.before(site, there)).is_guarded() {
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

/// The component whose NetworkPolicy a resource asks for, if it asks for one.
pub fn guards_network(resource: &Resource<Spec>) -> Option<PolicyTarget> {
    policy_of(resource).filter(|spec| asks(spec)).map(|spec| spec.target)
}

/// Who else may connect to a component, of the policies that are heard.
fn ingress_from<'a>(target: PolicyTarget, policies: &'a [Policy<'a>]) -> impl Iterator<Item = &'a NetworkPeer> {
    let heard = policies.iter().filter_map(|policy| match policy.state {
        State::Accepted(spec) => Some(spec),
        State::Invalid | State::Removed => None,
    });
    let managed = heard.filter(move |it| it.target == target && asks(it));
    managed.flat_map(|spec| &spec.network_policy.ingress_from)
}

/// Whether an access policy asks for a NetworkPolicy.
fn asks(spec: &InboundAccessPolicySpec) -> bool {
    spec.network_policy.mode == NetworkMode::Managed
}

/// A port: number and protocol.
type Port = (i32, String);

/// The ports of a component: the usual one, and what its pods say they listen at, but for the containers of other
/// components.
fn ports(target: PolicyTarget, site: &Site<'_>, live: &LiveDeployment) -> BTreeSet<Port> {
    let component = target.component();
    let is_others = |container: &str| site.component(container).is_some_and(|it| it != component);
    let declared = live.ports.iter().filter(|port| !is_others(&port.container));
    let declared = declared.map(|port| (port.number, port.protocol.clone()));
    declared.chain([(component.usual_port(), "TCP".to_owned())]).collect()
}

fn port((number, protocol): Port) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some(protocol), end_port: None }
}

fn stays(name: &str, target: PolicyTarget, front: &Front) -> Option<Problem> {
    let names: Vec<&str> = front.policies.iter().map(String::as_str).collect();
    let (names, target) = (names.join(", "), target.as_str());
    (front.is_guarded() && !front.is_said).then(|| {
        if front.policies.contains(UNKNOWN) {
            let title = network_title(name);
            let message = format!(
                "by which policies {title} is there cannot be read, so it stays, and keeps everybody else out of {target}; delete it: it is made anew where a policy asks for it"
            );
            return Problem::warning("spec", Code::NetworkPolicyStays, message);
        }
        let message = format!(
            "{} stays, and keeps everybody else out of {target}, though InboundAccessPolicy {names} was deleted or is not accepted: what is removed opens nothing; to open it, delete the NetworkPolicy, or make that policy anew with networkPolicy.mode: Disabled",
            network_title(name)
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
