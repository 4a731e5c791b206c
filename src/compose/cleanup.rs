//! Secrets of ours that nothing needs any more: which they are, who still needs which, and when to look again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::Value as Json;

use crate::api::{FIELD_MANAGER, LABEL_INSTALLATION, LABEL_MANAGED_BY, Resource, TimbrInstallationSpec};

use super::{
    EnvSource, InstallationKey, LiveValue, Lookup, Plan, Rollout, Snapshot, installation::named as deployments_of,
    secret_name::is_secret_name,
};

/// A younger Secret stays, whoever names it: between our apply and the ReplicaSet that comes of it neither a Pod nor
/// a ReplicaSet does.
const YOUNG: SignedDuration = SignedDuration::from_mins(10);

/// What nothing tells us of is looked at again after this long: that a Pod has gone, that a revision was forgotten.
pub const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// The annotation by which a Deployment's controller counts its revisions.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The label that tells the pods of one ReplicaSet from those of another; the only difference between the template
/// of a Deployment and of its ReplicaSet.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A Secret that this operator made, by its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurSecret {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The installation that it is labelled with.
    pub installation: String,
    /// The Deployment that owns it.
    pub owner: Option<String>,
}

impl OurSecret {
    /// Reads metadata. `None` when the Secret is somebody else's: label and name are what anybody can copy, so the
    /// managed fields must say that its data is ours, too.
    pub fn read(meta: &ObjectMeta) -> Option<Self> {
        let label = |key: &str| meta.labels.as_ref()?.get(key);
        let name = meta.name.clone()?;
        let mut fields = meta.managed_fields.iter().flatten();
        let is_made_by_us = fields.any(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:data").is_some())
        });
        let is_ours = label(LABEL_MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER) && is_secret_name(&name);
        let mut owners = meta.owner_references.iter().flatten();
        (is_ours && is_made_by_us).then(|| Self {
            name,
            uid: meta.uid.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            installation: label(LABEL_INSTALLATION).cloned().unwrap_or_default(),
            owner: owners.find(|owner| owner.kind == "Deployment").map(|owner| owner.name.clone()),
        })
    }

    /// The version in which a live Secret is this one, made by us; `None` when it is another by now.
    pub fn version_of(&self, live: &Secret) -> Option<String> {
        let is_this = Self::read(&live.metadata).is_some_and(|live| {
            live.uid == self.uid && live.name == self.name && live.installation == self.installation
        });
        live.metadata.resource_version.clone().filter(|_| is_this && live.immutable == Some(true))
    }
}

/// Which Secrets an installation looks after; each Secret has one installation that does. Whoever has the Deployment
/// that owns it knows whether it is needed; without one, its label tells; and what belonged to an installation that is
/// no more is the implicit one's.
#[derive(Debug)]
pub struct Charge<'a> {
    key: &'a InstallationKey,
    /// The oldest installation that names a Deployment has it.
    holders: HashMap<String, &'a str>,
    /// By label.
    installations: HashMap<String, &'a str>,
}

impl<'a> Charge<'a> {
    /// What an installation looks after, given its namespace's TimbrInstallations.
    pub fn of(key: &'a InstallationKey, all: impl Iterator<Item = &'a Resource<TimbrInstallationSpec>>) -> Self {
        let mut by_age: Vec<_> = all.collect();
        by_age.sort_by(|a, b| a.meta.age_order(&b.meta));
        let mut charge = Self { key, holders: HashMap::new(), installations: HashMap::new() };
        for installation in by_age {
            let name = installation.meta.name.as_str();
            let label = InstallationKey { namespace: key.namespace.clone(), name: Some(name.to_owned()) }.label();
            charge.installations.entry(label).or_insert(name);
            for deployment in deployments_of(installation) {
                charge.holders.entry(deployment).or_insert(name);
            }
        }
        charge
    }

    /// Whether a Secret is among them.
    pub fn has(&self, secret: &OurSecret) -> bool {
        let holder = secret.owner.as_ref().and_then(|owner| self.holders.get(owner));
        let holder = holder.or_else(|| self.installations.get(&secret.installation));
        holder.copied() == self.key.name.as_deref()
    }
}

/// Secrets that may have become superfluous.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Those that are old enough: who needs them must be asked.
    pub due: Vec<OurSecret>,
    /// When the next one is old enough.
    pub again: Option<Timestamp>,
}

impl Spare {
    /// Those of `ours` that neither a Deployment of the installation names nor its plan is about to. Costs no
    /// request: in a quiet cluster that never rotated there is none.
    pub fn of(snapshot: &Snapshot, plan: &Plan, ours: Vec<OurSecret>, now: Timestamp) -> Self {
        let mut spare = Self::default();
        if ours.is_empty() || plan.installation.as_ref().is_some_and(|installation| installation.suspended) {
            return spare;
        }
        let named = named(snapshot, plan);
        for secret in ours.into_iter().filter(|secret| !named.contains(secret.name.as_str())) {
            // One without a time, which no API server makes, is never old enough.
            let Some(due) = secret.created.and_then(|created| created.checked_add(YOUNG).ok()) else { continue };
            if due <= now {
                spare.due.push(secret);
            } else {
                spare.again = Some(spare.again.map_or(due, |again| again.min(due)));
            }
        }
        spare
    }
}

/// The Secrets that the installation's Deployments name, or are about to.
fn named<'a>(snapshot: &'a Snapshot, plan: &'a Plan) -> BTreeSet<&'a str> {
    let live = snapshot.deployments.values().filter_map(Lookup::found).flat_map(|live| &live.containers);
    let live = live.flat_map(|container| &container.env).filter_map(|env| match &env.value {
        LiveValue::SecretKey { name, .. } => Some(name.as_str()),
        LiveValue::Plain(_) | LiveValue::Other(_) => None,
    });
    let made = plan.deployments.iter().flat_map(|plan| &plan.secrets).map(|secret| secret.name.as_str());
    let planned = plan.deployments.iter().flat_map(|plan| &plan.containers).flat_map(|container| &container.env);
    let planned = planned.filter_map(|entry| match &entry.source {
        EnvSource::Secret { name, .. } => Some(name.as_str()),
        EnvSource::Plain(_) => None,
    });
    live.chain(made).chain(planned).collect()
}

/// Who names a Secret of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// The template of a Deployment.
    Deployment(String),
    /// A ReplicaSet that has, or wants, pods.
    ReplicaSet(String),
    /// A Pod.
    Pod(String),
    /// The revision to which `kubectl rollout undo` takes this Deployment.
    Undo(String),
}

/// Who names which Secrets of ours, in a namespace.
pub type Users = BTreeMap<String, BTreeSet<User>>;

/// Collects [`Users`]: give it all Deployments of a namespace, then all ReplicaSets, then all Pods. A name goes that
/// way, too, so none slips through between two lists. (Templates may hold other people's secrets: no Debug.)
#[derive(Default)]
pub struct Census {
    users: Users,
    /// By uid.
    deployments: HashMap<String, Owner>,
}

struct Owner {
    name: String,
    template: Json,
    revisions: Vec<Revision>,
}

struct Revision {
    number: i64,
    /// Whether it has the template that the Deployment has now.
    is_current: bool,
    secrets: BTreeSet<String>,
}

impl Census {
    /// Takes in a Deployment.
    pub fn deployment(&mut self, meta: &ObjectMeta, object: &Json) {
        let name = meta.name.clone().unwrap_or_default();
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        self.add(secrets(&template), &User::Deployment(name.clone()));
        let uid = meta.uid.clone().unwrap_or_default();
        self.deployments.insert(uid, Owner { name, template, revisions: Vec::new() });
    }

    /// Takes in a ReplicaSet.
    pub fn replica_set(&mut self, meta: &ObjectMeta, object: &Json) {
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        let named = secrets(&template);
        let count = |pointer: &str| object.pointer(pointer).and_then(Json::as_i64).unwrap_or_default();
        if count("/spec/replicas") > 0 || count("/status/replicas") > 0 {
            self.add(named.clone(), &User::ReplicaSet(meta.name.clone().unwrap_or_default()));
        }
        let number = meta.annotations.as_ref().and_then(|all| all.get(REVISION)).and_then(|text| text.parse().ok());
        for owner in meta.owner_references.iter().flatten() {
            if let Some(deployment) = self.deployments.get_mut(&owner.uid) {
                deployment.revisions.push(Revision {
                    number: number.unwrap_or_default(),
                    is_current: is_same(&deployment.template, &template),
                    secrets: named.clone(),
                });
            }
        }
    }

    /// Takes in a Pod.
    pub fn pod(&mut self, meta: &ObjectMeta, object: &Json) {
        self.add(secrets(&object["spec"]), &User::Pod(meta.name.clone().unwrap_or_default()));
    }

    /// Who names what.
    pub fn users(mut self) -> Users {
        for deployment in std::mem::take(&mut self.deployments).into_values() {
            let mut revisions = deployment.revisions;
            revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
            // Where an undo leads: to the second newest. And where it will lead once the controller has seen a
            // template that it has made no ReplicaSet of yet (of a paused Deployment it makes none).
            let next = revisions.iter().find(|revision| !revision.is_current);
            for revision in revisions.get(1).into_iter().chain(next) {
                self.add(revision.secrets.clone(), &User::Undo(deployment.name.clone()));
            }
        }
        self.users
    }

    fn add(&mut self, secrets: BTreeSet<String>, user: &User) {
        for secret in secrets {
            self.users.entry(secret).or_default().insert(user.clone());
        }
    }
}

/// The names of ours anywhere in a template or in the spec of a Pod. Not only where Kubernetes lets a Secret be named
/// today: one too many is kept, and none too few.
fn secrets(json: &Json) -> BTreeSet<String> {
    fn walk(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::String(text) if is_secret_name(text) => {
                found.insert(text.clone());
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Json::Object(fields) => fields.values().for_each(|field| walk(field, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(json, &mut found);
    found
}

/// Whether a ReplicaSet has a Deployment's template, by the rule of the Deployment's controller.
fn is_same(deployment: &Json, replica_set: &Json) -> bool {
    let mut template = replica_set.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Json::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    *deployment == template
}

/// What is to be done about Secrets that may be superfluous.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Clearance {
    /// Nobody needs these.
    pub delete: Vec<OurSecret>,
    /// When to look again, if nothing changes.
    pub again: Option<Timestamp>,
    /// Whether nothing can become superfluous before one of the installation's Deployments changes.
    pub is_settled: bool,
}

impl Clearance {
    /// Judges Secrets that are due by who names them.
    pub fn of(due: Vec<OurSecret>, users: &Users, snapshot: &Snapshot, now: Timestamp) -> Self {
        let (needed, delete): (Vec<_>, Vec<_>) = due.into_iter().partition(|secret| users.contains_key(&secret.name));
        // Of an undo we hear: it leads elsewhere when the Deployment changes.
        let is_watched = |user: &User| matches!(user, User::Undo(name) if snapshot.deployments.contains_key(name));
        let is_fleeting = |user: &User| !matches!(user, User::Undo(_));
        let mut all = needed.iter().filter_map(|secret| users.get(&secret.name)).flatten();
        let again = all.clone().any(is_fleeting).then(|| now.checked_add(AGAIN).ok()).flatten();
        Self { is_settled: delete.is_empty() && all.all(is_watched), delete, again }
    }
}

/// All that decides whether another look can find anything new, as long as what stands in its way is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    due: BTreeSet<String>,
    deployments: BTreeMap<String, (String, i64, Rollout)>,
}

impl Circumstances {
    /// Those of an installation.
    pub fn of(due: &[OurSecret], snapshot: &Snapshot) -> Self {
        let deployments = snapshot.deployments.iter().filter_map(|(name, lookup)| {
            let live = lookup.found()?;
            Some((name.clone(), (live.uid.clone(), live.generation, live.rollout.clone())))
        });
        Self { due: due.iter().map(|secret| secret.uid.clone()).collect(), deployments: deployments.collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{
        api::{Kind, Object},
        compose::{Hands, NameKey, Settings, compose, live_deployment},
    };

    const A: &str = "timbr-platform-identity-aaaaaaaaaa";
    const B: &str = "timbr-platform-identity-bbbbbbbbbb";
    const C: &str = "timbr-server-identity-cccccccccc";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn ours(name: &str, created: i64) -> OurSecret {
        OurSecret {
            name: name.to_owned(),
            uid: format!("uid of {name}"),
            created: Some(at(created)),
            installation: "default".to_owned(),
            owner: Some("timbr-platform".to_owned()),
        }
    }

    fn metadata() -> Json {
        json!({
            "name": A, "uid": format!("uid of {A}"), "creationTimestamp": at(0).to_string(), "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "timbr-identity-operator", "identity.timbr.ai/installation": "default"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "timbr-platform", "uid": "u"}],
            "managedFields": [
                {"manager": "kubectl-label", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
                {"manager": "timbr-identity-operator", "operation": "Update", "fieldsV1": {"f:data": {}, "f:immutable": {}}},
            ],
        })
    }

    fn secret(metadata: &Json, immutable: Option<bool>) -> Secret {
        let mut secret = json!({"metadata": metadata});
        if let Some(immutable) = immutable {
            secret["immutable"] = immutable.into();
        }
        serde_json::from_value(secret).expect("a Secret")
    }

    #[test]
    fn ours_is_what_we_made() {
        let read = |metadata: &Json| OurSecret::read(&secret(metadata, None).metadata);
        assert_eq!(read(&metadata()), Some(ours(A, 0)));
        let other = |field: &str, value: Json| {
            let mut metadata = metadata();
            metadata[field] = value;
            read(&metadata)
        };
        assert_eq!(other("ownerReferences", json!([])), Some(OurSecret { owner: None, ..ours(A, 0) }));
        let entry =
            |manager: &str, fields: Json| json!([{"manager": manager, "operation": "Update", "fieldsV1": fields}]);
        let refused = [
            ("name", json!("timbr-platform-identity-backup")),
            ("name", json!("timbr-identity-name-key")),
            ("labels", json!({})),
            ("labels", json!({"app.kubernetes.io/managed-by": "helm"})),
            ("managedFields", json!([])),
            ("managedFields", entry("kubectl-create", json!({"f:data": {}}))),
            ("managedFields", entry("timbr-identity-operator", json!({"f:metadata": {}}))),
        ];
        for (field, value) in refused {
            assert_eq!(other(field, value.clone()), None, "{field}: {value}");
        }
    }

    #[test]
    fn a_secret_that_is_another_by_now_has_no_version() {
        let version = |metadata: &Json, immutable| ours(A, 0).version_of(&secret(metadata, immutable));
        assert_eq!(version(&metadata(), Some(true)).as_deref(), Some("7"));
        assert_eq!(version(&metadata(), Some(false)), None);
        assert_eq!(version(&metadata(), None), None);
        for (pointer, value) in [
            ("/uid", "another"),
            ("/name", B),
            ("/labels/identity.timbr.ai~1installation", "other"),
            ("/labels/app.kubernetes.io~1managed-by", "somebody"),
            ("/managedFields/1/manager", "somebody"),
        ] {
            let mut metadata = metadata();
            *metadata.pointer_mut(pointer).unwrap() = value.into();
            assert_eq!(version(&metadata, Some(true)), None, "{pointer}");
        }
    }

    fn installation(name: &str, created: i64, platform: &str) -> Resource<TimbrInstallationSpec> {
        let meta = meta(json!({"name": name, "creationTimestamp": at(created).to_string()}));
        let spec = json!({"components": {"platform": {"deployment": platform}}});
        match Object::read(Kind::TimbrInstallation, &meta, &json!({"spec": spec})) {
            Object::Installation(installation) => installation,
            Object::Resource(_) => panic!("a TimbrInstallation"),
        }
    }

    #[test]
    fn each_secret_has_one_installation_that_looks_after_it() {
        let long = "x".repeat(80);
        let long_label = InstallationKey { namespace: "ns".into(), name: Some(long.clone()) }.label();
        let web = |name: &str, created| installation(name, created, "web");
        let own = |name: &str| installation(name, 0, &format!("web-of-{name}"));
        type Row<'a> = (&'a str, Option<&'a str>, Vec<Resource<TimbrInstallationSpec>>, Option<&'a str>);
        let rows: [Row<'_>; 9] = [
            ("default", None, vec![], None),
            ("default", Some("timbr-platform"), vec![], None),
            ("default", None, vec![own("a")], None),
            ("default", None, vec![own("a"), own("default")], Some("default")),
            ("gone", Some("web"), vec![own("a"), own("default")], None),
            (&long_label, Some("elsewhere"), vec![own(&long)], Some(&long)),
            // Named by an installation, whatever the label says: its own name is only the last one's who wrote.
            ("default", Some("web"), vec![web("a", 5)], Some("a")),
            ("a", Some("web"), vec![web("a", 5), web("b", 3)], Some("b")),
            ("b", Some("web"), vec![web("a", 3), web("b", 5)], Some("a")),
        ];
        for (label, owner, installations, expected) in rows {
            let secret = OurSecret { installation: label.to_owned(), owner: owner.map(str::to_owned), ..ours(A, 0) };
            let names =
                installations.iter().map(|there| Some(there.meta.name.clone())).chain([None, Some("gone".into())]);
            let found: Vec<_> = names
                .map(|name| InstallationKey { namespace: "ns".to_owned(), name })
                .filter(|key| Charge::of(key, installations.iter()).has(&secret))
                .collect();
            let expected = InstallationKey { namespace: "ns".to_owned(), name: expected.map(str::to_owned) };
            assert_eq!(found, [expected], "{label} {owner:?}");
        }
    }

    fn deployment_json(env: Json) -> Json {
        json!({
            "metadata": {"name": "timbr-platform", "uid": "u", "generation": 3},
            "spec": {"selector": {}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {
                "containers": [{"name": "timbr-platform", "env": env}],
            }}},
        })
    }

    fn by_secret(name: &str, secret: &str) -> Json {
        json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
    }

    fn snapshot(env: Json, installation: Option<Json>) -> Snapshot {
        let live = live_deployment(&serde_json::from_value(deployment_json(env)).expect("a Deployment"));
        let installations = installation.iter().filter_map(|spec| {
            let meta = ObjectMeta { name: Some("main".to_owned()), ..Default::default() };
            match Object::read(Kind::TimbrInstallation, &meta, &json!({"spec": spec})) {
                Object::Installation(installation) => Some(installation),
                Object::Resource(_) => None,
            }
        });
        Snapshot {
            foreign: vec![],
            key: InstallationKey { namespace: "ns".to_owned(), name: installation.as_ref().map(|_| "main".to_owned()) },
            settings: Settings::default(),
            name_key: NameKey::Offline,
            installations: installations.collect(),
            resources: vec![],
            complete: true,
            deployments: BTreeMap::from([
                ("timbr-platform".to_owned(), Lookup::Found(live)),
                ("timbr-api".to_owned(), Lookup::Missing),
            ]),
            secrets: BTreeMap::new(),
            networks: BTreeMap::new(),
            guards: None,
            unguarded: BTreeMap::new(),
            consumers: Default::default(),
            hands: Hands::default(),
            trials: None,
            refused: BTreeMap::new(),
        }
    }

    fn names(secrets: &[OurSecret]) -> Vec<&str> {
        secrets.iter().map(|secret| secret.name.as_str()).collect()
    }

    #[test]
    fn what_no_template_names_is_due_ten_minutes_after_it_was_made() {
        let snapshot = snapshot(json!([by_secret("OAUTH_SECRET", A)]), None);
        let plan = compose(&snapshot);
        type Row<'a> = (&'a [OurSecret], i64, &'a [&'a str], Option<i64>);
        let rows: [Row<'_>; 6] = [
            (&[], 9_000, &[], None),
            (&[ours(A, 0)], 9_000, &[], None),
            (&[ours(A, 0), ours(B, 0)], 599, &[], Some(600)),
            (&[ours(A, 0), ours(B, 0)], 600, &[B], None),
            (&[ours(B, 0), ours(C, 30)], 610, &[B], Some(630)),
            (&[ours(B, 20), ours(C, 30)], 610, &[], Some(620)),
        ];
        for (secrets, now, due, again) in rows {
            let spare = Spare::of(&snapshot, &plan, secrets.to_vec(), at(now));
            assert_eq!((names(&spare.due).as_slice(), spare.again), (due, again.map(at)), "{secrets:?} at {now}");
        }
        let timeless = OurSecret { created: None, ..ours(B, 0) };
        assert_eq!(Spare::of(&snapshot, &plan, vec![timeless], Timestamp::MAX), Spare::default());
    }

    #[test]
    fn what_the_plan_is_about_to_name_is_not_due() {
        let snapshot = snapshot(json!([]), None);
        let plan = compose(&snapshot);
        assert_eq!(names(&Spare::of(&snapshot, &plan, vec![ours(A, 0), ours(B, 0)], at(9_000)).due), [A, B]);
        let Some(mut deployment) = plan.deployments.first().cloned() else { panic!("a plan of timbr-platform") };
        deployment.secrets.push(crate::compose::SecretPlan {
            name: A.to_owned(),
            labels: BTreeMap::new(),
            owner: None,
            data: BTreeMap::new(),
            present: false,
            stable: false,
            replaces: None,
            stays: true,
        });
        deployment.containers.push(crate::compose::PlannedContainer {
            name: "timbr-platform".to_owned(),
            env: vec![crate::compose::EnvEntry {
                name: "KEPT".to_owned(),
                source: EnvSource::Secret { name: B.to_owned(), key: "KEPT".to_owned() },
            }],
            referenced: vec![],
        });
        let plan = Plan { deployments: vec![deployment], ..plan };
        let spare = Spare::of(&snapshot, &plan, vec![ours(A, 0), ours(B, 0), ours(C, 0)], at(9_000));
        assert_eq!(names(&spare.due), [C]);
    }

    #[test]
    fn a_suspended_installation_clears_nothing_away() {
        for (suspend, due) in [(false, vec![B]), (true, vec![])] {
            let snapshot = snapshot(json!([]), Some(json!({"suspend": suspend})));
            let spare = Spare::of(&snapshot, &compose(&snapshot), vec![ours(B, 0)], at(9_000));
            assert_eq!((names(&spare.due), spare.again), (due, None));
        }
    }

    fn meta(json: Json) -> ObjectMeta {
        serde_json::from_value(json).expect("metadata")
    }

    #[test]
    fn every_place_in_which_a_pod_may_name_a_secret_counts() {
        let key = json!({"name": A, "key": "k"});
        let from = |name: &str| json!([{"name": name, "env": [{"name": "X", "valueFrom": {"secretKeyRef": key}}]}]);
        let volume = |source: Json| json!({"volumes": [source]});
        for (place, spec) in [
            ("env", json!({"containers": from("c")})),
            ("env of an init container", json!({"containers": [], "initContainers": from("i")})),
            ("env of an ephemeral container", json!({"containers": [], "ephemeralContainers": from("e")})),
            (
                "envFrom",
                json!({"containers": [{"name": "c", "envFrom": [{"prefix": "X_", "secretRef": {"name": A}}]}]}),
            ),
            ("a volume", volume(json!({"name": "v", "secret": {"secretName": A}}))),
            (
                "a projected volume",
                volume(
                    json!({"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}, {"secret": {"name": A}}]}}),
                ),
            ),
            ("a CSI volume", volume(json!({"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": A}}}))),
            ("imagePullSecrets", json!({"imagePullSecrets": [{"name": A}]})),
        ] {
            let mut census = Census::default();
            census.pod(&meta(json!({"name": "pod"})), &json!({"spec": spec}));
            let expected = Users::from([(A.to_owned(), BTreeSet::from([User::Pod("pod".to_owned())]))]);
            assert_eq!(census.users(), expected, "{place}");

            let mut census = Census::default();
            census.deployment(&meta(json!({"name": "d", "uid": "u"})), &json!({"spec": {"template": {"spec": spec}}}));
            let expected = Users::from([(A.to_owned(), BTreeSet::from([User::Deployment("d".to_owned())]))]);
            assert_eq!(census.users(), expected, "{place}");
        }
        let mut census = Census::default();
        let env = json!([by_secret("X", "theirs"), {"name": "Y", "value": format!("{A}-")}]);
        census.pod(&meta(json!({"name": "pod"})), &json!({"spec": {"containers": [{"name": "c", "env": env}]}}));
        assert_eq!(census.users(), Users::new());
    }

    /// A ReplicaSet of `timbr-platform`: revision, pods wanted, pods there, Secret.
    type Set<'a> = (i64, i64, i64, &'a str);

    fn template(secret: &str) -> Json {
        deployment_json(json!([by_secret("OAUTH_SECRET", secret)])).pointer("/spec/template").cloned().unwrap()
    }

    fn users(live: &str, sets: &[Set<'_>]) -> Vec<(String, String)> {
        let mut census = Census::default();
        let deployment = json!({"spec": {"template": template(live)}});
        census.deployment(&meta(json!({"name": "timbr-platform", "uid": "u"})), &deployment);
        for (revision, wanted, there, secret) in sets {
            let mut template = template(secret);
            template["metadata"]["labels"]["pod-template-hash"] = json!(format!("h{revision}"));
            let metadata = json!({
                "name": format!("rs-{revision}"),
                "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "timbr-platform", "uid": "u"}],
            });
            let object = json!({"spec": {"replicas": wanted, "template": template}, "status": {"replicas": there}});
            census.replica_set(&meta(metadata), &object);
        }
        let last = |name: &str| name.rsplit('-').next().unwrap_or_default()[..1].to_uppercase();
        let user = |user: &User| match user {
            User::Deployment(_) => "template".to_owned(),
            User::ReplicaSet(name) => name.clone(),
            User::Pod(name) => name.clone(),
            User::Undo(_) => "undo".to_owned(),
        };
        let of_secret = |(name, users): (String, BTreeSet<User>)| {
            (last(&name), users.iter().map(user).collect::<Vec<_>>().join(" "))
        };
        census.users().into_iter().map(of_secret).collect()
    }

    #[test]
    fn a_revision_counts_while_it_has_pods_or_an_undo_leads_to_it() {
        type Row<'a> = (&'a str, &'a str, &'a [Set<'a>], &'a [(&'a str, &'a str)]);
        let rows: [Row<'_>; 9] = [
            ("one revision", A, &[(1, 1, 1, A)], &[("A", "template rs-1")]),
            (
                "an undo leads to the one before",
                C,
                &[(1, 0, 0, A), (3, 1, 1, C), (2, 0, 0, B)],
                &[("B", "undo"), ("C", "template rs-3")],
            ),
            (
                "numbers, not letters",
                C,
                &[(9, 0, 0, A), (10, 0, 0, B), (11, 0, 0, C)],
                &[("B", "undo"), ("C", "template")],
            ),
            (
                "wanted pods",
                C,
                &[(1, 1, 0, A), (2, 0, 0, B), (3, 1, 1, C)],
                &[("A", "rs-1"), ("B", "undo"), ("C", "template rs-3")],
            ),
            (
                "pods that are still there",
                C,
                &[(1, 0, 2, A), (2, 0, 0, B), (3, 1, 1, C)],
                &[("A", "rs-1"), ("B", "undo"), ("C", "template rs-3")],
            ),
            // The controller has yet to make the ReplicaSet, or the Deployment is paused: an undo leads to A today,
            // and to B after that.
            (
                "a template without a ReplicaSet",
                C,
                &[(1, 0, 0, A), (2, 0, 0, B)],
                &[("A", "undo"), ("B", "undo"), ("C", "template")],
            ),
            (
                "a revision that has the same template",
                A,
                &[(1, 0, 0, B), (4, 0, 0, A), (3, 0, 0, C)],
                &[("A", "template"), ("C", "undo")],
            ),
            ("scaled to nothing", B, &[(1, 0, 0, A), (2, 0, 0, B)], &[("A", "undo"), ("B", "template")]),
            ("no revision but its own", A, &[], &[("A", "template")]),
        ];
        for (what, live, sets, expected) in rows {
            let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(users(live, sets), expected, "{what}");
        }
    }

    #[test]
    fn a_replica_set_of_no_deployment_counts_while_it_has_pods() {
        for (replicas, expected) in
            [(0, Users::new()), (1, Users::from([(A.to_owned(), BTreeSet::from([User::ReplicaSet("rs".to_owned())]))]))]
        {
            let mut census = Census::default();
            census.replica_set(
                &meta(json!({"name": "rs"})),
                &json!({"spec": {"replicas": replicas, "template": template(A)}}),
            );
            assert_eq!(census.users(), expected);
        }
    }

    #[test]
    fn what_nobody_names_goes_and_the_rest_waits_for_what_keeps_it() {
        let snapshot = snapshot(json!([]), None);
        let undo = |name: &str| User::Undo(name.to_owned());
        let pod = || User::Pod("pod".to_owned());
        type Row<'a> = (&'a [(&'a str, User)], &'a [&'a str], bool, bool);
        let rows: [Row<'_>; 7] = [
            (&[], &[A, B], false, false),
            (&[(A, undo("timbr-platform"))], &[B], false, false),
            (&[(A, undo("timbr-platform")), (B, undo("timbr-platform"))], &[], false, true),
            // A Deployment that is not the installation's: known by its owner alone.
            (&[(A, undo("timbr-platform")), (B, undo("other"))], &[], false, false),
            (&[(A, pod()), (B, undo("timbr-platform"))], &[], true, false),
            (&[(A, User::ReplicaSet("rs".to_owned()))], &[B], true, false),
            (&[(A, User::Deployment("other".to_owned())), (B, pod())], &[], true, false),
        ];
        for (named, delete, again, is_settled) in rows {
            let users: Users =
                named.iter().map(|(name, user)| ((*name).to_owned(), BTreeSet::from([user.clone()]))).collect();
            let clearance = Clearance::of(vec![ours(A, 0), ours(B, 0)], &users, &snapshot, at(1_000));
            let found = (names(&clearance.delete), clearance.again, clearance.is_settled);
            assert_eq!(found, (delete.to_vec(), again.then(|| at(1_600)), is_settled), "{named:?}");
        }
    }

    #[test]
    fn circumstances_change_with_the_deployment_and_with_what_is_due() {
        let before = snapshot(json!([]), None);
        let of = |snapshot: &Snapshot, due: &[OurSecret]| Circumstances::of(due, snapshot);
        assert_eq!(of(&before, &[ours(A, 0)]), of(&before, &[ours(A, 5)]));
        assert_ne!(of(&before, &[ours(A, 0)]), of(&before, &[ours(A, 0), ours(B, 0)]));
        for change in [
            |live: &mut crate::compose::LiveDeployment| live.generation += 1,
            |live: &mut crate::compose::LiveDeployment| live.uid.push('x'),
            |live: &mut crate::compose::LiveDeployment| live.rollout.available += 1,
        ] {
            let mut after = before.clone();
            let Some(Lookup::Found(live)) = after.deployments.get_mut("timbr-platform") else { panic!("it is there") };
            change(live);
            assert_ne!(of(&before, &[]), of(&after, &[]));
        }
    }
}
