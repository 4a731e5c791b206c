//! What the operator may do in a cluster: one table, and the RBAC manifests that are made from it. And what people may
//! do with its kinds, by the roles of the chart.
//!
//! Least rights are kept by tests (`tests/operator/rights.rs`): with this table the API server refuses the
//! operator nothing, and with any verb of it taken away it refuses exactly that. `make rbac` writes
//! `deploy/rbac.yaml` and `deploy/namespaced/rbac.yaml`.

use std::fmt::Write as _;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::{CLAIM, GROUP, Kind, LEASE, NAME_KEY_SECRET, WEBHOOK_CONFIGURATION, WEBHOOK_SECRET};

/// Which namespaces an operator is installed for.
#[derive(Clone, Copy, Debug)]
pub enum Install<'a> {
    /// All of them.
    ClusterWide,
    /// These, with Roles alone.
    Namespaced(&'a [&'a str]),
}

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Every namespace that is watched.
    Watched,
    /// The operator's own namespace.
    Own,
    /// The cluster itself.
    Cluster,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// API group; empty for the core's.
    pub group: &'static str,
    /// Resources in the plural, subresources after a slash.
    pub resources: Vec<String>,
    /// Only objects of these names; empty: of any name.
    pub names: &'static [&'static str],
    /// Verbs of RBAC.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// What for.
    pub why: &'static str,
}

impl Rule {
    /// The row as RBAC has it.
    pub fn policy(&self) -> PolicyRule {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        PolicyRule {
            api_groups: Some(vec![self.group.to_owned()]),
            resources: Some(self.resources.clone()),
            resource_names: Some(owned(self.names)).filter(|names| !names.is_empty()),
            verbs: owned(self.verbs),
            ..Default::default()
        }
    }

    /// Whether it is of no use without a webhook.
    pub fn is_of_webhook(&self) -> bool {
        self.place == Place::Cluster || self.names == [WEBHOOK_SECRET] || self.group == "authorization.k8s.io"
    }

    /// The row in a manifest, with what it is for.
    pub(crate) fn text(&self) -> String {
        let mut text = comment(self.why, "  ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  - apiGroups: [{}]", if self.group.is_empty() { "\"\"" } else { self.group });
        match self.resources.as_slice() {
            [one] => text += &format!("    resources: [{one}]\n"),
            many => {
                text += "    resources:\n";
                many.iter().for_each(|name| text += &format!("      - {name}\n"));
            }
        }
        if !self.names.is_empty() {
            let _ = writeln!(text, "    resourceNames: [{}]", self.names.join(", "));
        }
        let _ = writeln!(text, "    verbs: [{}]", self.verbs.join(", "));
        text
    }
}

/// A role for people: what they may do with the operator's kinds. None has a right on a status, which is the operator's.
#[derive(Clone, Debug)]
pub struct People {
    /// What the role is called, after the operator's name.
    pub name: &'static str,
    /// Whether the role of Kubernetes that has this name takes the rights in.
    pub aggregated: bool,
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Verbs of RBAC.
    pub verbs: &'static [&'static str],
    /// Who it is for.
    pub why: &'static str,
}

/// The roles for people.
pub fn people() -> Vec<People> {
    const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
    // They say whom Timbr trusts, who may use it, and which Deployments are Timbr's.
    let is_trust =
        |kind: &Kind| matches!(kind, Kind::TimbrInstallation | Kind::ExternalTokenProvider | Kind::InboundAccessPolicy);
    let of = |choose: &dyn Fn(&Kind) -> bool| Kind::ALL.iter().copied().filter(choose).collect::<Vec<_>>();
    vec![
        People {
            name: "view",
            aggregated: true,
            kinds: of(&|_| true),
            verbs: &["get", "list", "watch"],
            why: "Who may view a namespace sees all kinds.",
        },
        People {
            name: "edit",
            aggregated: true,
            kinds: of(&|kind| matches!(kind, Kind::AzureSso | Kind::DatabricksPassthrough | Kind::JwtTenant)),
            verbs: WRITE,
            why: "Who may edit a namespace sets up single sign-on.",
        },
        People {
            name: "admin",
            aggregated: true,
            kinds: of(&|kind| !is_trust(kind)),
            verbs: WRITE,
            why: "Who administers a namespace writes all kinds but those that say whom Timbr trusts.",
        },
        People {
            name: "trust",
            aggregated: false,
            kinds: of(&is_trust),
            verbs: WRITE,
            why: "Whom Timbr trusts, who may use it, and which Deployments are Timbr's. No other role takes this in: bind it to whoever decides that.",
        },
    ]
}

/// The table, as far as it matters to this kind of install.
pub fn rules(install: Install<'_>) -> Vec<Rule> {
    let rule = |place, group, resources: &[&str], names, verbs, why| {
        let resources = resources.iter().map(|name| (*name).to_owned()).collect();
        Rule { group, resources, names, verbs, place, why }
    };
    let watched = |group, resources: &[&str], verbs, why| rule(Place::Watched, group, resources, &[], verbs, why);
    let own = |group, resource, names, verbs, why| rule(Place::Own, group, &[resource], names, verbs, why);
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
    let statuses: Vec<String> = kinds.iter().map(|plural| format!("{plural}/status")).collect();
    let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
    let mut rules = vec![
        watched(GROUP, &kinds, &["list", "watch"], "Its own kinds: what people ask for. It never changes a spec."),
        watched(GROUP, &statuses, &["patch"], "What it says about them."),
        watched(
            "apps",
            &["deployments"],
            &["get", "list", "watch", "patch"],
            "Timbr's Deployments: variables, one label and one annotation, by server-side apply. Watched by their metadata.",
        ),
        watched(
            "",
            &["secrets"],
            &["get", "list", "watch"],
            "The values that resources name. Secrets are watched by their metadata; one that nothing names is not read.",
        ),
        watched(
            "",
            &["secrets"],
            &["create", "patch", "delete"],
            "The Secrets that carry the values to the pods. A Secret's owner can only be changed by somebody who may delete it (OwnerReferencesPermissionEnforcement).",
        ),
        watched(
            "apps",
            &["replicasets"],
            &["list"],
            "Which Secrets a ReplicaSet still needs, before an old one is deleted; only looked at then.",
        ),
        watched("", &["pods"], &["list"], "Which Secrets a Pod still needs, the same."),
        watched(
            "",
            &["pods"],
            &["watch"],
            "Which workloads use Timbr, for the status of access policies: pods with a label that says so, by their metadata.",
        ),
        watched(
            "networking.k8s.io",
            &["networkpolicies"],
            &["get", "list", "watch", "create", "patch", "delete"],
            "The NetworkPolicies that access policies ask for (networkPolicy.mode: Managed). Watched by their metadata, and only those that it made.",
        ),
        watched("events.k8s.io", &["events"], &["create"], "What happened, for people."),
        watched(
            "authorization.k8s.io",
            &["localsubjectaccessreviews"],
            &["create"],
            "The webhook: whether whoever writes a resource may read the Secrets that it names.",
        ),
        own(
            "",
            "secrets",
            &[],
            &["create"],
            "Makes the key of Secret names, and the webhook's certificate. Create cannot be limited to a name.",
        ),
        own("", "secrets", &[NAME_KEY_SECRET], &["get"], "Reads the key of Secret names."),
        own("", "secrets", &[WEBHOOK_SECRET], &["get", "update"], "Reads and renews the webhook's certificate."),
        own(
            "coordination.k8s.io",
            "leases",
            &[],
            &["create"],
            "Makes the Lease by which replicas agree on who writes.",
        ),
        own("coordination.k8s.io", "leases", &[LEASE], &["get", "update"], "Reads and renews that Lease."),
        rule(
            Place::Cluster,
            "admissionregistration.k8s.io",
            &["validatingwebhookconfigurations"],
            &[WEBHOOK_CONFIGURATION],
            &["get", "patch"],
            "Has the webhook's certificate trusted: writes caBundle, and nothing else.",
        ),
    ];
    const LEASES: &str = "coordination.k8s.io";
    let claim = |names, verbs, why| rule(Place::Watched, LEASES, &["leases"], names, verbs, why);
    match install {
        Install::ClusterWide => rules.extend([
            claim(
                &[CLAIM],
                &["list", "watch"],
                "Namespaces that another operator has claimed: this one keeps out of them.",
            ),
            watched(
                "",
                &["namespaces"],
                &["list", "watch"],
                "Which namespaces belong to one organization, by their label: there a pair of issuer and audience has one ExternalTokenProvider. By their metadata, and only those with the label.",
            ),
        ]),
        Install::Namespaced(_) => rules.extend([
            claim(&[], &["create"], "Claims the namespace, so that no other operator writes there."),
            claim(&[CLAIM], &["get", "update"], "Reads and renews that claim."),
        ]),
    }
    rules
}

/// Name of the ServiceAccount, and of its roles and their bindings.
const NAME: &str = "timbr-identity-operator";
/// The operator's own namespace in the manifests.
pub const OWN: &str = "timbr-identity-system";
/// Name of the Role in a namespace that is watched: the operator may be installed in one of them.
const WATCHED: &str = "timbr-identity-operator-watched";
/// Name of the ClusterRole of an operator that looks after some namespaces only.
const WEBHOOK_ROLE: &str = "timbr-identity-operator-webhook";
/// How long the lines of a comment are.
const WIDTH: usize = 100;

/// The manifest of the rights, with the ServiceAccount that has them.
pub fn manifest(install: Install<'_>) -> String {
    let rules = rules(install);
    let of = |place| rules.iter().filter(move |rule| rule.place == place).collect::<Vec<_>>();
    let mut documents = vec![account()];
    match install {
        Install::ClusterWide => {
            documents.insert(0, namespace());
            let rules: Vec<_> = of(Place::Watched).into_iter().chain(of(Place::Cluster)).collect();
            documents.push(role("ClusterRole", NAME, None, &rules));
            documents.push(binding("ClusterRole", NAME, None));
        }
        Install::Namespaced(namespaces) => {
            documents.push(role("ClusterRole", WEBHOOK_ROLE, None, &of(Place::Cluster)));
            documents.push(binding("ClusterRole", WEBHOOK_ROLE, None));
            for watched in namespaces {
                documents.push(role("Role", WATCHED, Some(watched), &of(Place::Watched)));
                documents.push(binding("Role", WATCHED, Some(watched)));
            }
        }
    }
    documents.push(role("Role", NAME, Some(OWN), &of(Place::Own)));
    documents.push(binding("Role", NAME, Some(OWN)));
    comment(&heading(install), "") + &documents.join("---\n")
}

fn heading(install: Install<'_>) -> String {
    match install {
        Install::ClusterWide => {
            "Made by `make rbac` from src/rights.rs.\n\nWhat the operator may do, for a cluster-wide install. Apply it together with timbr-identity-operator.yaml: kubectl apply -f deploy/\n\nTo keep the operator to some namespaces, apply namespaced/rbac.yaml instead of this file.".to_owned()
        }
        Install::Namespaced(namespaces) => format!(
            "Made by `make rbac` from src/rights.rs.\n\nWhat the operator may do when it looks after some namespaces only, here {}: Roles, and of what is the cluster's the configuration of its webhook alone. Apply it instead of ../rbac.yaml, and start the operator with --watch-namespaces={}.\n\nFor another namespace write its name in the Role and RoleBinding of this one; for several, give each a Role and a RoleBinding. The namespace {OWN} has to be there.",
            namespaces.join(" and "),
            namespaces.join(","),
        ),
    }
}

fn namespace() -> String {
    let levels = ["enforce", "audit", "warn"];
    let levels: String =
        levels.iter().map(|level| format!("    pod-security.kubernetes.io/{level}: restricted\n")).collect();
    format!("apiVersion: v1\nkind: Namespace\n{}{levels}", metadata(OWN, None))
}

fn account() -> String {
    format!("apiVersion: v1\nkind: ServiceAccount\n{}", metadata(NAME, Some(OWN)))
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: &[&Rule]) -> String {
    let mut text =
        format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\n{}rules:\n", metadata(name, namespace));
    rules.iter().for_each(|rule| text += &rule.text());
    text
}

fn binding(kind: &str, name: &str, namespace: Option<&str>) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\n{}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\nsubjects:\n  - kind: ServiceAccount\n    name: {NAME}\n    namespace: {OWN}\n",
        metadata(name, namespace)
    )
}

fn metadata(name: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!("  namespace: {namespace}\n")).unwrap_or_default();
    format!("metadata:\n  name: {name}\n{namespace}  labels:\n    app.kubernetes.io/name: timbr-identity\n")
}

/// Text as comment lines.
pub(crate) fn comment(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    for paragraph in text.split('\n') {
        let mut line = format!("{indent}#");
        for word in paragraph.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                lines += &(std::mem::replace(&mut line, format!("{indent}#")) + "\n");
            }
            line += " ";
            line += word;
        }
        lines += &(line + "\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::yaml;

    fn documents(install: Install<'_>) -> Vec<Value> {
        let documents = yaml::read(&manifest(install)).expect("YAML");
        documents.into_iter().map(|document| document.value).collect()
    }

    /// Kind, and namespace where there is one, of each document.
    fn places(documents: &[Value]) -> Vec<String> {
        let place = |it: &Value| match it["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("{} in {namespace}", it["kind"].as_str().unwrap()),
            None => it["kind"].as_str().unwrap().to_owned(),
        };
        documents.iter().map(place).collect()
    }

    #[test]
    fn the_manifests_say_what_the_table_says() {
        for install in [Install::ClusterWide, Install::Namespaced(&["a", "b"])] {
            let documents = documents(install);
            let rights = |places: &[Place]| {
                let all = places
                    .iter()
                    .flat_map(|place| rules(install).into_iter().filter(move |rule: &Rule| rule.place == *place));
                json!(all.map(|rule| rule.policy()).collect::<Vec<_>>())
            };
            let roles = documents.iter().filter(|it| it["kind"] == "ClusterRole" || it["kind"] == "Role");
            for role in roles {
                let places: &[Place] = match (role["metadata"]["namespace"].as_str(), install) {
                    (Some(OWN), _) => &[Place::Own],
                    (Some(_), _) => &[Place::Watched],
                    (None, Install::ClusterWide) => &[Place::Watched, Place::Cluster],
                    (None, Install::Namespaced(_)) => &[Place::Cluster],
                };
                assert_eq!(role["rules"], rights(places));
            }
            let bindings = documents.iter().filter(|it| !it["roleRef"].is_null());
            for binding in bindings {
                assert_eq!(format!("{}Binding", binding["roleRef"]["kind"].as_str().unwrap()), binding["kind"]);
                assert_eq!(binding["roleRef"]["name"], binding["metadata"]["name"]);
                assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": NAME, "namespace": OWN}]));
            }
        }
    }

    #[test]
    fn an_install_for_some_namespaces_has_of_what_is_the_clusters_its_webhook_alone() {
        assert_eq!(
            places(&documents(Install::ClusterWide)),
            [
                "Namespace",
                "ServiceAccount in timbr-identity-system",
                "ClusterRole",
                "ClusterRoleBinding",
                "Role in timbr-identity-system",
                "RoleBinding in timbr-identity-system",
            ]
        );
        assert_eq!(
            places(&documents(Install::Namespaced(&["a", "b"]))),
            [
                "ServiceAccount in timbr-identity-system",
                "ClusterRole",
                "ClusterRoleBinding",
                "Role in a",
                "RoleBinding in a",
                "Role in b",
                "RoleBinding in b",
                "Role in timbr-identity-system",
                "RoleBinding in timbr-identity-system",
            ]
        );
    }

    #[test]
    fn no_right_is_granted_twice_and_none_by_a_wildcard() {
        for install in [Install::ClusterWide, Install::Namespaced(&["a"])] {
            let mut seen = BTreeSet::new();
            for rule in rules(install) {
                assert!(!rule.why.is_empty());
                for (resource, verb) in
                    rule.resources.iter().flat_map(|it| rule.verbs.iter().map(move |verb| (it, verb)))
                {
                    assert!(!resource.contains('*') && *verb != "*" && !rule.group.contains('*'));
                    let right = (format!("{:?}", rule.place), rule.names, rule.group, resource.clone(), *verb);
                    assert!(seen.insert(right), "{verb} {resource}");
                }
            }
        }
    }

    #[test]
    fn people_write_each_kind_by_one_role_that_is_theirs_and_no_status() {
        let of = |name: &str| people().into_iter().find(|role| role.name == name).expect("a role");
        let (view, edit, admin, trust) = (of("view"), of("edit"), of("admin"), of("trust"));
        assert_eq!(view.kinds, Kind::ALL);
        assert!(edit.kinds.iter().all(|kind| admin.kinds.contains(kind)));
        assert!(trust.kinds.iter().all(|kind| !admin.kinds.contains(kind)));
        assert_eq!(admin.kinds.len() + trust.kinds.len(), Kind::ALL.len());
        assert_eq!(
            people().iter().filter(|role| !role.aggregated).map(|role| role.name).collect::<Vec<_>>(),
            ["trust"]
        );
    }

    #[test]
    fn comments_are_wrapped() {
        let text = comment(&"word ".repeat(30), "  ");
        assert!(
            text.lines().count() == 2 && text.lines().all(|line| line.starts_with("  # word") && line.len() <= WIDTH)
        );
        assert_eq!(comment("a\n\nb", ""), "# a\n#\n# b\n");
    }
}
