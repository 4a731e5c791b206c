//! Which installation a resource belongs to, and which Deployments belong to an installation.

use std::{collections::BTreeSet, fmt};

use aws_lc_rs::digest::{SHA256, digest};

use crate::api::{
    COMPONENT_DUPLICATE, Code, Component, DEFAULT_INSTALLATION, FieldRule, Kind, Problem, Resource, Spec, Status,
    TimbrInstallationSpec, rules,
};

use super::{LiveDeployment, Snapshot, references::check_reference};

/// One installation: a TimbrInstallation, or (without a name) the implicit one of a namespace, which
/// also looks after Deployments that no installation names any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstallationKey {
    /// The namespace.
    pub namespace: String,
    /// The TimbrInstallation; `None` for the implicit installation.
    pub name: Option<String>,
}

impl InstallationKey {
    /// What messages call it.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_INSTALLATION)
    }

    /// The value of the label on what we make: the name, of a name that is too long for a label its
    /// beginning and a hash.
    pub fn label(&self) -> String {
        const LONGEST: usize = 63;
        let name = self.title();
        if name.len() <= LONGEST {
            return name.to_owned();
        }
        let hash = digest(&SHA256, name.as_bytes());
        let hash: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hash}", &name[..LONGEST - 1 - hash.len()].trim_end_matches(['-', '.']))
    }
}

impl fmt::Display for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.title())
    }
}

/// The installation that a resource of `namespace` with this `installationRef` belongs to, given the
/// names of the namespace's TimbrInstallations.
///
/// # Errors
/// Says why there is none, and what to do.
pub fn key_of(
    namespace: &str,
    reference: Option<&str>,
    installations: &BTreeSet<&str>,
) -> Result<InstallationKey, String> {
    let key = |name: Option<&str>| InstallationKey { namespace: namespace.to_owned(), name: name.map(str::to_owned) };
    let names = || installations.iter().copied().collect::<Vec<_>>().join(", ");
    match reference {
        Some(name) if installations.contains(name) => Ok(key(Some(name))),
        Some(name) if installations.is_empty() => Err(format!(
            "installationRef names TimbrInstallation {name}, but namespace {namespace} has none; create it, or drop installationRef"
        )),
        Some(name) => Err(format!(
            "installationRef names TimbrInstallation {name}, which does not exist in namespace {namespace}; there are: {}",
            names()
        )),
        None if installations.len() > 1 => {
            installations.get(DEFAULT_INSTALLATION).map(|name| key(Some(name))).ok_or_else(|| {
                format!(
                    "namespace {namespace} has several TimbrInstallations ({}); name one in installationRef",
                    names()
                )
            })
        }
        None => Ok(key(installations.first().copied())),
    }
}

/// Every installation of a namespace.
pub fn keys(namespace: &str, installations: &BTreeSet<&str>) -> Vec<InstallationKey> {
    let names = installations.iter().map(|name| Some((*name).to_owned()));
    names.chain([None]).map(|name| InstallationKey { namespace: namespace.to_owned(), name }).collect()
}

impl Resource<Spec> {
    /// The installation it belongs to, given the names of its namespace's TimbrInstallations.
    ///
    /// # Errors
    /// Says why there is none, and what to do.
    pub fn key(&self, installations: &BTreeSet<&str>) -> Result<InstallationKey, String> {
        let reference = match &self.spec {
            Ok(spec) => spec.installation_ref().map(|reference| reference.name.as_str()),
            Err(unreadable) => match &unreadable.installation_ref {
                Ok(name) => name.as_deref(),
                Err(()) => return Err("installationRef cannot be read; correct it".to_owned()),
            },
        };
        key_of(&self.meta.namespace, reference, installations)
    }

    /// Whether it is suspended.
    pub fn suspended(&self) -> bool {
        self.spec.as_ref().is_ok_and(Spec::suspend)
    }
}

/// Where a component of an installation runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The component.
    pub component: Component,
    /// Its Deployment.
    pub deployment: String,
    /// Its container, when named.
    pub container: Option<String>,
}

impl Target {
    /// The container of this component in a live Deployment, or the names to choose from.
    pub fn find_container(&self, live: &LiveDeployment) -> Result<String, Vec<String>> {
        let names = live.container_names();
        let wanted: Vec<&str> = match &self.container {
            // A name that was given is not replaced by a guess.
            Some(name) => vec![name],
            None => match names.as_slice() {
                [only] => return Ok(only.clone()),
                _ => self.component.usual_containers().to_vec(),
            },
        };
        let found = wanted.into_iter().find(|name| names.iter().any(|there| there == name)).map(str::to_owned);
        found.ok_or(names)
    }

    /// The container's name while no Deployment is at hand (offline).
    pub fn presumed_container(&self) -> String {
        let usual = || self.component.usual_containers().first().copied().unwrap_or_default().to_owned();
        self.container.clone().unwrap_or_else(usual)
    }
}

/// The Deployments of an installation with this spec; `None` is the implicit installation.
pub fn targets(spec: Option<&TimbrInstallationSpec>) -> Vec<Target> {
    let components = spec.map(|spec| spec.components.clone()).unwrap_or_default();
    Component::ALL
        .into_iter()
        .map(|component| {
            let target = components.get(component);
            Target {
                component,
                deployment: target.deployment.clone().unwrap_or_else(|| component.usual_deployment().to_owned()),
                container: target.container.clone(),
            }
        })
        .collect()
}

/// The Deployments that an installation names. Of one that cannot be read: those that it named when
/// it was last read, so that no other takes them over meanwhile.
pub fn named(installation: &Resource<TimbrInstallationSpec>) -> Vec<String> {
    match (&installation.spec, installation.status.as_deref()) {
        (Ok(spec), _) => targets(Some(spec)).into_iter().map(|target| target.deployment).collect(),
        (Err(_), Some(Status::TimbrInstallation(status))) => {
            status.components.iter().map(|component| component.deployment.clone()).collect()
        }
        (Err(_), _) => vec![],
    }
}

/// Every installation that names a Deployment, whether or not it is the one that has it.
pub fn claimants<'a>(
    namespace: &str,
    deployment: &str,
    installations: impl Iterator<Item = &'a Resource<TimbrInstallationSpec>>,
) -> BTreeSet<InstallationKey> {
    installations
        .filter(|installation| named(installation).iter().any(|name| name == deployment))
        .map(|installation| InstallationKey {
            namespace: namespace.to_owned(),
            name: Some(installation.meta.name.clone()),
        })
        .collect()
}

/// What is wrong with a TimbrInstallation by itself.
pub fn problems(installation: &Resource<TimbrInstallationSpec>) -> Vec<Problem> {
    let spec = match &installation.spec {
        Ok(spec) => spec,
        Err(unreadable) => return vec![undecodable(Kind::TimbrInstallation, &unreadable.error)],
    };
    let mut problems = Vec::new();
    let mut check = |rule: &FieldRule, path: String, value: &Option<String>| {
        problems.extend(value.as_ref().and_then(|value| rule.check(&path, value)));
    };
    for component in Component::ALL {
        let target = spec.components.get(component);
        let path = format!("spec.components.{}", component.name());
        check(&rules::OBJECT_NAME, format!("{path}.deployment"), &target.deployment);
        check(&rules::CONTAINER_NAME, format!("{path}.container"), &target.container);
    }
    if let Some(sql) = &spec.sql {
        problems.extend(sql.url.as_ref().and_then(|url| rules::SQL_URL.check("spec.sql.url", url)));
        problems.extend(rules::ONTOLOGY.check("spec.sql.ontology", &sql.ontology));
        problems.extend(check_reference("spec.sql.tokenSecretRef", &sql.token_secret_ref));
        let roles = sql.allowed_roles.iter().flatten();
        problems.extend(roles.filter_map(|role| rules::ROLE.check("spec.sql.allowedRoles", role)).take(1));
    }
    let targets = targets(Some(spec));
    let clash = |a: &Target, b: &Target| {
        a.deployment == b.deployment && (a.container.is_none() || b.container.is_none() || a.container == b.container)
    };
    if (1..targets.len()).any(|i| targets[..i].iter().any(|earlier| clash(earlier, &targets[i]))) {
        problems.push(Problem::error("spec.components", Code::ComponentDuplicate, COMPONENT_DUPLICATE));
    }
    problems
}

/// The problem of an object that cannot be read as its kind.
pub fn undecodable(kind: Kind, error: &str) -> Problem {
    Problem::error(
        "spec",
        Code::DecodeFailed,
        format!(
            "cannot be read as {kind} ({error}); correct the field, or install the CRDs of this operator's version"
        ),
    )
}

/// The claims of a namespace's installations on Deployments.
pub struct Claims<'a> {
    by_age: Vec<&'a Resource<TimbrInstallationSpec>>,
}

impl<'a> Claims<'a> {
    /// The claims in a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self::new(&snapshot.installations)
    }

    /// The claims of these installations.
    pub fn new(installations: &'a [Resource<TimbrInstallationSpec>]) -> Self {
        let mut by_age: Vec<_> = installations.iter().collect();
        by_age.sort_by(|a, b| a.meta.age_order(&b.meta));
        Self { by_age }
    }

    /// Names of all installations.
    pub fn names(&self) -> BTreeSet<&'a str> {
        self.by_age.iter().map(|installation| installation.meta.name.as_str()).collect()
    }

    /// The installation of that name.
    pub fn get(&self, name: &str) -> Option<&'a Resource<TimbrInstallationSpec>> {
        self.by_age.iter().copied().find(|installation| installation.meta.name == name)
    }

    /// The oldest installation that names a Deployment: it has it, alone. With one field manager,
    /// two would erase each other's variables.
    pub fn holder(&self, deployment: &str) -> Option<&'a str> {
        let holder = self.by_age.iter().find(|installation| named(installation).iter().any(|name| name == deployment));
        holder.map(|installation| installation.meta.name.as_str())
    }

    /// Whether every installation can be read. While one cannot, nobody knows which Deployments it
    /// names, and none is given up.
    pub fn all_readable(&self) -> bool {
        self.by_age.iter().all(|installation| installation.spec.is_ok())
    }

    /// The Deployments of an installation: none when it does not exist or cannot be read.
    pub fn targets(&self, key: &InstallationKey) -> Vec<Target> {
        match &key.name {
            Some(name) => self.get(name).and_then(|found| found.spec.as_ref().ok()).map(|spec| targets(Some(spec))),
            None => self.by_age.is_empty().then(|| targets(None)),
        }
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(reference: Option<&str>, installations: &[&str]) -> Result<Option<String>, String> {
        key_of("ns", reference, &installations.iter().copied().collect()).map(|key| key.name)
    }

    #[test]
    fn a_resource_finds_its_installation() {
        let some = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(resolve(None, &[]), Ok(None));
        assert_eq!(resolve(None, &["a"]), some("a"));
        assert_eq!(resolve(None, &["a", "default"]), some("default"));
        assert_eq!(resolve(Some("b"), &["a", "b"]), some("b"));
        assert_eq!(
            resolve(None, &["a", "b"]).unwrap_err(),
            "namespace ns has several TimbrInstallations (a, b); name one in installationRef"
        );
        assert_eq!(
            resolve(Some("c"), &["a", "b"]).unwrap_err(),
            "installationRef names TimbrInstallation c, which does not exist in namespace ns; there are: a, b"
        );
        assert_eq!(
            resolve(Some("c"), &[]).unwrap_err(),
            "installationRef names TimbrInstallation c, but namespace ns has none; create it, or drop installationRef"
        );
    }

    #[test]
    fn a_container_is_found_or_its_candidates_are_named() {
        let live = |names: &[&str]| LiveDeployment {
            uid: String::new(),
            version: String::new(),
            generation: 1,
            containers: names
                .iter()
                .map(|name| super::super::LiveContainer { name: (*name).to_owned(), env: vec![], env_from: vec![] })
                .collect(),
            ownership: Default::default(),
            managed: None,
            delivered: None,
            content: None,
            elsewhere: Default::default(),
            workload_identity: false,
            selector: Default::default(),
            ports: Default::default(),
            rollout: Default::default(),
        };
        let target = |component, container: Option<&str>| Target {
            component,
            deployment: "d".to_owned(),
            container: container.map(str::to_owned),
        };
        let found = |target: Target, names: &[&str]| target.find_container(&live(names));
        let candidates = |names: &[&str]| Err(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(found(target(Component::Server, None), &["timbr", "sidecar"]), Ok("timbr".into()));
        assert_eq!(found(target(Component::Server, None), &["timbr", "timbr-server"]), Ok("timbr-server".into()));
        assert_eq!(found(target(Component::Platform, None), &["web"]), Ok("web".into()));
        assert_eq!(found(target(Component::Platform, None), &["web", "sidecar"]), candidates(&["web", "sidecar"]));
        assert_eq!(found(target(Component::Platform, Some("web")), &["web", "sidecar"]), Ok("web".into()));
        assert_eq!(found(target(Component::Platform, Some("gone")), &["web"]), candidates(&["web"]));
    }

    #[test]
    fn installations_have_names_for_people() {
        let key = |name: Option<&str>| InstallationKey { namespace: "ns".to_owned(), name: name.map(str::to_owned) };
        assert_eq!(key(Some("main")).to_string(), "ns/main");
        assert_eq!(key(None).to_string(), "ns/default");
    }

    #[test]
    fn without_a_deployment_at_hand_the_usual_container_is_presumed() {
        let of = |container: Option<&str>| {
            let target = Target {
                component: Component::Server,
                deployment: "web".to_owned(),
                container: container.map(str::to_owned),
            };
            target.presumed_container()
        };
        assert_eq!(of(Some("mine")), "mine");
        assert_eq!(of(None), "timbr-server");
    }

    #[test]
    fn whoever_names_a_deployment_claims_it() {
        let installation = |name: &str, web: &str| {
            let fields = serde_json::json!({"spec": {"components": {"platform": {"deployment": web}}}});
            let metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                name: Some(name.to_owned()),
                ..Default::default()
            };
            match crate::api::Object::read(Kind::TimbrInstallation, &metadata, &fields) {
                crate::api::Object::Installation(installation) => installation,
                crate::api::Object::Resource(_) => unreachable!(),
            }
        };
        let all = [installation("a", "web"), installation("b", "web"), installation("c", "other")];
        let names: Vec<_> = claimants("ns", "web", all.iter()).into_iter().filter_map(|key| key.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(claimants("ns", "nobody's", all.iter()).is_empty());
    }
}
