//! The Helm chart, by the real Helm on a real API server: what is installed is enough for the operator, and no more than the
//! table of its rights.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Map, Value, json};
use testkit::{ControlPlane, Process, Scratch, assets, eventually, ports::free_port};
use timbr_identity::{
    admission::configuration,
    api::{Kind, WEBHOOK_CONFIGURATION, crds},
    rights::{Install, Place, Rule, people, rules},
    yaml,
};

use crate::{
    everything::{DEPLOYMENTS, delivered, documents, is_ours, path, rendered},
    harness::{Lab, Operator, SOON},
};

/// The oldest Kubernetes that the chart is for. Where a server is asked, it says its own.
const OLDEST: &str = "--kube-version=1.30.0";
const RELEASE: &str = "timbr-identity";
const CHART: &str = "charts/timbr-identity-operator";
const NAME: &str = "timbr-identity-operator";
/// The release's namespace where nothing is installed.
const OWN: &str = "sys";
/// The name of what is the cluster's, there.
const OF_CLUSTER: &str = "timbr-identity-operator-sys";

/// Runs helm with these values; what it prints, or what it complains of.
fn helm(kubeconfig: Option<&Path>, args: &[&str], values: &Value) -> Result<String, String> {
    let home = Scratch::new("helm-").expect("a temporary folder");
    let mut command = Command::new(assets::path("helm"));
    command.args(args).args(["-f", "-"]).env("HOME", home.path());
    // Nothing of the developer's own.
    for name in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{name}_HOME"), home.path());
    }
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("helm can be run");
    let mut pipe = child.stdin.take().expect("standard input is a pipe");
    // It may end before it has read them.
    let _ = pipe.write_all(values.to_string().as_bytes());
    drop(pipe);
    let output = child.wait_with_output().expect("helm's output can be read");
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(stdout) } else { Err(stderr) }
}

fn template(values: &Value) -> Result<String, String> {
    let chart = path(CHART).display().to_string();
    helm(None, &["template", RELEASE, &chart, "--namespace", OWN, OLDEST], values)
}

/// The objects of a release with these values, and an image.
fn objects(values: Value) -> Vec<Value> {
    let text = template(&with_image(values)).unwrap_or_else(|error| panic!("{error}"));
    let documents = yaml::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().map(|document| document.value).collect()
}

pub fn with_image(mut values: Value) -> Value {
    set(&mut values, "image.repository", json!("registry.example.com/timbr-identity"));
    values
}

/// Sets a value, unless it is there.
fn set(values: &mut Value, at: &str, value: Value) {
    let mut place = values;
    for name in at.split('.') {
        place = place.as_object_mut().expect("a map").entry(name).or_insert_with(|| json!({}));
    }
    if *place == json!({}) {
        *place = value;
    }
}

fn is(object: &Value, kind: &str) -> bool {
    object["kind"] == kind
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects.iter().filter(|it| is(it, kind) && it["metadata"]["name"] == name);
    let object = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
    assert!(found.next().is_none(), "two of {kind} {name}");
    object
}

/// What RBAC grants for these rows. Of what is the cluster's the name has the namespace in it.
fn granted(rules: impl Iterator<Item = Rule>) -> Value {
    let policy = |rule: Rule| {
        let mut policy = rule.policy();
        if rule.place == Place::Cluster {
            assert_eq!(policy.resource_names.as_deref(), Some(&[WEBHOOK_CONFIGURATION.to_owned()][..]));
            policy.resource_names = Some(vec![OF_CLUSTER.to_owned()]);
        }
        policy
    };
    json!(rules.map(policy).collect::<Vec<_>>())
}

/// Compares the roles of the operator with the table.
fn check_rights(values: Value, install: Install<'_>, counts: impl Fn(&Rule) -> bool) {
    let objects = objects(values);
    let of = |places: &[Place]| {
        let rows = places.iter().flat_map(|place| rules(install).into_iter().filter(move |rule| rule.place == *place));
        granted(rows.filter(|rule| counts(rule)))
    };
    let mut expected = BTreeMap::from([(("Role", NAME, OWN), of(&[Place::Own]))]);
    match install {
        Install::ClusterWide => {
            expected.insert(("ClusterRole", OF_CLUSTER, ""), of(&[Place::Watched, Place::Cluster]));
        }
        Install::Namespaced(namespaces) => {
            for namespace in namespaces {
                expected.insert(("Role", "timbr-identity-operator-watched", namespace), of(&[Place::Watched]));
            }
            if of(&[Place::Cluster]) != json!([]) {
                expected.insert(("ClusterRole", OF_CLUSTER, ""), of(&[Place::Cluster]));
            }
        }
    }
    let key = |object: &'_ Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/kind"), text("/metadata/name"), text("/metadata/namespace"))
    };
    let roles = objects.iter().filter(|it| is(it, "Role") || is(it, "ClusterRole"));
    // Those for people have a colon.
    let roles = roles.filter(|role| !name(role).contains(':'));
    let found: BTreeMap<_, _> = roles.map(|role| (key(role), role["rules"].clone())).collect();
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|((kind, name, namespace), rules)| ((kind.to_owned(), name.to_owned(), namespace.to_owned()), rules))
        .collect();
    assert_eq!(found, expected);
    let bindings: Vec<&Value> = objects.iter().filter(|it| !it["roleRef"].is_null()).collect();
    let bound: BTreeSet<_> = bindings.iter().map(|it| key(it)).collect();
    let to_bind = found.into_keys().map(|(kind, name, namespace)| (format!("{kind}Binding"), name, namespace));
    assert_eq!(bound, to_bind.collect());
    for binding in bindings {
        assert_eq!(format!("{}Binding", binding["roleRef"]["kind"].as_str().expect("a kind")), binding["kind"]);
        assert_eq!(binding["roleRef"]["name"], binding["metadata"]["name"]);
        assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": NAME, "namespace": OWN}]));
    }
    the(&objects, "ServiceAccount", NAME);
}

#[test]
fn the_rights_of_the_chart_are_those_of_the_table() {
    let all = |_: &Rule| true;
    check_rights(json!({"clusterWide": true}), Install::ClusterWide, all);
    check_rights(json!({"watchNamespaces": ["a", "b"]}), Install::Namespaced(&["a", "b"]), all);
    // Nothing is said: its own namespace.
    check_rights(json!({}), Install::Namespaced(&[OWN]), all);
    // Without a webhook nothing is asked of the cluster, and cert-manager has its certificates trusted by itself.
    let off = json!({"webhook": {"enabled": false}});
    check_rights(off, Install::Namespaced(&[OWN]), |rule| !rule.is_of_webhook());
    let off = json!({"webhook": {"enabled": false}, "clusterWide": true});
    check_rights(off, Install::ClusterWide, |rule| !rule.is_of_webhook());
    let other = json!({"webhook": {"certManager": {"enabled": true}}});
    check_rights(other, Install::Namespaced(&[OWN]), |rule| rule.place != Place::Cluster);
}

#[test]
fn an_install_without_webhook_crds_and_roles_for_people_has_nothing_of_the_cluster() {
    let values = json!({"webhook": {"enabled": false}, "crds": {"enabled": false}, "aggregateRoles": false});
    for object in objects(values) {
        assert_eq!(object["metadata"]["namespace"], OWN, "{object}");
    }
}

#[test]
fn the_webhook_of_the_chart_is_that_of_the_code() {
    let cases: [(Value, &[&str]); 3] = [
        (json!({"clusterWide": true}), &[]),
        (json!({"watchNamespaces": ["a", "b"]}), &["a", "b"]),
        (json!({}), &[OWN]),
    ];
    for (values, watched) in cases {
        let objects = objects(values);
        let rendered = the(&objects, "ValidatingWebhookConfiguration", OF_CLUSTER);
        let expected = serde_json::to_value(configuration(OF_CLUSTER, OWN, watched)).expect("JSON");
        // The labels are Helm's, who says that everything is managed by itself.
        assert_eq!(rendered["webhooks"], expected["webhooks"]);
        assert_eq!(rendered["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
        let deployment = the(&objects, "Deployment", NAME);
        let args = args(deployment);
        assert!(args.contains(&format!("--webhook-configuration={OF_CLUSTER}")), "{args:?}");
        assert_eq!(
            args.contains(&format!("--watch-namespaces={}", watched.join(","))),
            !watched.is_empty(),
            "{args:?}"
        );
        let service = expected["webhooks"][0]["clientConfig"]["service"]["name"].as_str().expect("a Service");
        assert_eq!(the(&objects, "Service", service)["spec"]["ports"][0]["port"], 443);
    }
    let values = json!({"webhook": {"url": "https://192.0.2.1:9443/", "failurePolicy": {"consumers": "Fail"}}});
    let with_url = objects(values);
    let rendered = the(&with_url, "ValidatingWebhookConfiguration", OF_CLUSTER);
    let called: Vec<_> =
        (0..2).map(|i| (&rendered["webhooks"][i]["clientConfig"], &rendered["webhooks"][i]["failurePolicy"])).collect();
    let [first, second] =
        ["resources", "consumers"].map(|path| json!({"url": format!("https://192.0.2.1:9443/{path}")}));
    assert_eq!(called, [(&first, &json!("Ignore")), (&second, &json!("Fail"))]);
}

#[test]
fn the_roles_for_people_are_those_of_the_table() {
    let rendered = objects(json!({}));
    let roles: Vec<&Value> = rendered.iter().filter(|it| is(it, "ClusterRole") && name(it).contains(':')).collect();
    assert_eq!(roles.len(), people().len());
    for role in people() {
        let found = the(&rendered, "ClusterRole", &format!("{OF_CLUSTER}:{}", role.name));
        let kinds: Vec<_> = role.kinds.iter().map(|kind| kind.plural()).collect();
        let expected = json!([{"apiGroups": ["identity.timbr.ai"], "resources": kinds, "verbs": role.verbs}]);
        assert_eq!(found["rules"], expected);
        let labels = found["metadata"]["labels"].as_object().expect("labels").keys();
        let taken_in: Vec<_> = labels.filter(|label| label.starts_with("rbac.authorization.k8s.io/")).collect();
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{}", role.name);
        assert_eq!(taken_in, if role.aggregated { vec![&label] } else { vec![] });
    }
    assert!(objects(json!({"aggregateRoles": false})).iter().all(|it| !name(it).contains(':')));
}

#[test]
fn the_crds_of_the_chart_are_those_of_the_code() {
    for keep in [true, false] {
        let mut rendered = objects(json!({"crds": {"keep": keep}}));
        rendered.retain(|it| is(it, "CustomResourceDefinition"));
        for object in &mut rendered {
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            metadata.remove("labels").expect("labels");
            let policy = json!({"helm.sh/resource-policy": "keep"});
            assert_eq!(metadata.remove("annotations"), keep.then_some(policy));
        }
        rendered.sort_by(|a, b| name(a).cmp(name(b)));
        let of_code = yaml::read(&yaml::write_stream(&crds()).expect("YAML")).expect("YAML");
        let of_code: Vec<Value> = of_code.into_iter().map(|document| document.value).collect();
        assert!(rendered == of_code);
    }
}

fn read(file: &str) -> String {
    let file = path(CHART).join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn schema() -> Value {
    serde_json::from_str(&read("values.schema.json")).expect("JSON")
}

/// The values that a schema knows, by their paths.
fn known(schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    for (name, schema) in schema["properties"].as_object().expect("properties") {
        let path = [at, name].join(".").trim_start_matches('.').to_owned();
        match schema.get("properties") {
            Some(_) => {
                assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
                known(schema, &path, into);
            }
            None => drop(into.insert(path)),
        }
    }
}

/// The values that are set, by their paths; of those that the schema does not look into, the whole.
fn leaves(values: &Value, known: &BTreeSet<String>, at: &str, into: &mut BTreeMap<String, Value>) {
    for (name, value) in values.as_object().unwrap_or(&Map::new()) {
        let path = [at, name].join(".").trim_start_matches('.').to_owned();
        match value {
            Value::Object(_) if !known.contains(&path) => leaves(value, known, &path, into),
            _ => drop(into.insert(path, value.clone())),
        }
    }
}

/// All values but `global`, which Helm adds for subcharts.
fn all_values() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    known(&schema(), "", &mut all);
    assert!(all.remove("global"));
    all
}

fn set_values(values: &Value) -> BTreeMap<String, Value> {
    let mut set = BTreeMap::new();
    leaves(values, &all_values(), "", &mut set);
    set
}

#[test]
fn every_value_is_in_the_schema_and_the_other_way_round() {
    assert_eq!(schema()["additionalProperties"], false);
    let values = yaml::read(&read("values.yaml")).expect("YAML").remove(0).value;
    let set: BTreeSet<String> = set_values(&values).into_keys().collect();
    assert_eq!(set, all_values());
}

#[test]
fn a_mistake_in_a_value_is_refused_by_name() {
    let cases = [
        ("imgae", json!({"repository": "x"}), "imgae"),
        ("image.repositry", json!("x"), "repositry"),
        ("image.repository", json!("has spaces"), "/image/repository"),
        ("image.tag", json!("a:b"), "/image/tag"),
        ("image.digest", json!("abc"), "/image/digest"),
        ("image.pullPolicy", json!("Sometimes"), "/image/pullPolicy"),
        ("imagePullSecrets", json!(["name"]), "/imagePullSecrets/0"),
        ("replicas", json!("2"), "/replicas"),
        ("replicas", json!(-1), "/replicas"),
        ("watchNamespaces", json!("timbr"), "/watchNamespaces"),
        ("watchNamespaces", json!(["Timbr"]), "/watchNamespaces/0"),
        ("watchNamespaces", json!(["a", "a"]), "/watchNamespaces"),
        ("clusterwide", json!(true), "clusterwide"),
        ("clusterWide", json!("yes"), "/clusterWide"),
        ("cloud", json!("azure"), "/cloud"),
        ("clusterName", json!(1), "/clusterName"),
        ("authorityUrl", json!("http://login.example.com"), "/authorityUrl"),
        ("graphUrl", json!("graph.example.com"), "/graphUrl"),
        ("vaultSuffix", json!("vault.azure.net"), "/vaultSuffix"),
        ("checkInterval", json!(10), "/checkInterval"),
        ("checkInterval", json!("10 minutes"), "/checkInterval"),
        ("unknownGrace", json!("-1s"), "/unknownGrace"),
        ("maxConcurrentRollouts", json!(0), "/maxConcurrentRollouts"),
        ("allowedSqlHosts", json!(["https://timbr-api/"]), "/allowedSqlHosts/0"),
        ("allowCidr", json!(["10.0.0.0"]), "/allowCidr/0"),
        ("requireSecretOptIn", json!("true"), "/requireSecretOptIn"),
        ("caBundle.secret", json!("ca"), "secret"),
        ("caBundle.key", json!("../ca"), "/caBundle/key"),
        ("log.level", json!(""), "/log/level"),
        ("log.format", json!("xml"), "/log/format"),
        ("extraArgs", json!(["debounce=5s"]), "/extraArgs/0"),
        ("extraEnv", json!([{"value": "x"}]), "/extraEnv/0"),
        ("extraEnv", json!({"HTTPS_PROXY": "x"}), "/extraEnv"),
        ("crds.install", json!(true), "install"),
        ("crds.keep", json!("no"), "/crds/keep"),
        ("aggregateRoles", json!([]), "/aggregateRoles"),
        ("webhook.failurePolicy", json!("Fail"), "/webhook/failurePolicy"),
        ("webhook.failurePolicy.consumers", json!("fail"), "/webhook/failurePolicy/consumers"),
        ("webhook.url", json!("https://"), "/webhook/url"),
        ("webhook.lingerSeconds", json!("5s"), "/webhook/lingerSeconds"),
        ("webhook.certmanager", json!({}), "certmanager"),
        ("webhook.certManager.issuerRef", json!("ca"), "/webhook/certManager/issuerRef"),
        ("podDisruptionBudget", json!({"enabled": true}), "/podDisruptionBudget"),
        ("resources", json!([]), "/resources"),
        ("nodeSelector", json!({"a": 1}), "/nodeSelector/a"),
        ("tolerations", json!({}), "/tolerations"),
        ("affinity", json!("none"), "/affinity"),
        ("priorityClassName", json!(1000), "/priorityClassName"),
        ("podAnnotations", json!({"a": true}), "/podAnnotations/a"),
        ("podLabels", json!({"a": 1}), "/podLabels/a"),
    ];
    let mut refused = BTreeSet::new();
    for (at, bad, says) in cases {
        let mut values = json!({});
        set(&mut values, at, bad);
        let error = template(&with_image(values)).expect_err(at);
        assert!(
            error.contains("values don't meet the specifications of the schema") && error.contains(says),
            "{at}: {error}"
        );
        refused.insert(at.split('.').next().expect("a name").to_owned());
    }
    // Something is wrong of every value, or of the group it is in.
    let groups: BTreeSet<String> =
        all_values().iter().map(|path| path.split('.').next().expect("a name").to_owned()).collect();
    assert!(groups.is_subset(&refused), "{:?}", groups.difference(&refused));
}

#[test]
fn what_does_not_go_together_is_refused_with_what_to_do() {
    let custom = json!({"cloud": "custom", "authorityUrl": "https://login.example.com"});
    let cert_manager = json!({"webhook": {"enabled": false, "certManager": {"enabled": true}}});
    for (values, says) in [
        (json!({"clusterWide": true, "watchNamespaces": ["a"]}), "clusterWide and watchNamespaces do not go together"),
        (custom, "cloud: custom needs authorityUrl, graphUrl and vaultSuffix"),
        (cert_manager, "webhook.certManager.enabled needs webhook.enabled"),
    ] {
        let error = template(&with_image(values)).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
    let error = template(&json!({})).expect_err("no image");
    assert!(error.contains("image.repository is required: there is no published image. Build it"), "{error}");
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn args(deployment: &Value) -> Vec<String> {
    serde_json::from_value(container(deployment)["args"].clone()).expect("strings")
}

/// Values that differ from the defaults: together all there are.
fn matrix() -> Vec<Value> {
    let azure = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["system"]}]}},
    ]}});
    vec![
        json!({"image": {"repository": "registry.example.com:5000/team/timbr-identity", "tag": "0.1.1", "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "registry"}], "replicas": 3, "watchNamespaces": ["a", "b"]}),
        json!({"image": {"digest": format!("sha256:{}", "0a".repeat(32))}, "clusterWide": true, "replicas": 1,
            "podDisruptionBudget": false}),
        json!({"clusterName": "west 1", "cloud": "usgov", "checkInterval": "1h30m", "unknownGrace": "500ms",
            "maxConcurrentRollouts": 1, "allowedSqlHosts": ["timbr.example.com", "sql.example.com:9000"],
            "allowCidr": ["10.20.0.0/16", "fd00::/8"], "requireSecretOptIn": true,
            "log": {"level": "info,kube=debug", "format": "json"}}),
        json!({"cloud": "custom", "authorityUrl": "https://login.example.com", "graphUrl": "https://graph.example.com/v1",
            "vaultSuffix": ".vault.example.com", "caBundle": {"configMap": "authorities", "key": "bundle.pem"}}),
        json!({"extraArgs": ["--debounce=5s", "--lease-duration=30s"], "extraEnv": [
            {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ]}),
        json!({"crds": {"enabled": false}, "aggregateRoles": false, "webhook": {"enabled": false}}),
        json!({"crds": {"keep": false}, "webhook": {"failurePolicy": {"resources": "Fail", "consumers": "Fail"},
            "url": "https://webhook.example.com", "lingerSeconds": 60, "certManager": {"enabled": true}}}),
        json!({"webhook": {"url": "https://192.0.2.1:9443", "certManager": {"enabled": true,
            "issuerRef": {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}}}}),
        json!({"resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}}, "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}], "affinity": azure,
            "priorityClassName": "system-cluster-critical", "podAnnotations": {"example.com/a": "1"},
            "podLabels": {"example.com/team": "data", "app.kubernetes.io/name": "ours-stays"}}),
    ]
}

/// The same without one value.
fn without(values: &Value, at: &str) -> Value {
    let mut less = values.clone();
    let (group, name) = at.rsplit_once('.').map_or(("", at), |(group, name)| (group, name));
    let pointer: String = group.split('.').filter(|it| !it.is_empty()).map(|it| format!("/{it}")).collect();
    less.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("a map").remove(name).expect("a value");
    less
}

/// cert-manager is not here: its kinds are taken as they come, and nobody checks their fields.
async fn install_kinds_of_cert_manager(plane: &ControlPlane) {
    let of_cert_manager = ["certificate", "issuer"].map(|kind| {
        let names =
            json!({"kind": kind[..1].to_uppercase() + &kind[1..], "singular": kind, "plural": format!("{kind}s")});
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{kind}s.cert-manager.io")},
            "spec": {"group": "cert-manager.io", "names": names, "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
        })
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": of_cert_manager});
    plane.kubectl(&["apply", "-f", "-"], Some(&list.to_string())).await.ok();
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], None).await.ok();
}

#[tokio::test]
async fn every_value_has_an_effect_that_the_api_server_and_the_operator_take() {
    let options = testkit::Options { controllers: false, ..Default::default() };
    let plane = ControlPlane::start_with(options).await;
    let restricted = "pod-security.kubernetes.io/warn";
    let namespaces: Vec<Value> = [OWN, "a", "b"]
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {restricted: "restricted"}}}))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": namespaces});
    plane.kubectl(&["apply", "-f", "-"], Some(&list.to_string())).await.ok();
    install_kinds_of_cert_manager(&plane).await;

    let chart = path(CHART).display().to_string();
    let mut seen = BTreeSet::new();
    for values in matrix() {
        let text = template(&with_image(values.clone())).unwrap_or_else(|error| panic!("{values}: {error}"));
        helm(None, &["lint", "--strict", &chart, "--namespace", OWN, OLDEST], &with_image(values.clone()))
            .unwrap_or_else(|error| panic!("{values}: {error}"));
        let args = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let applied = plane.kubectl(&args, Some(&text)).await;
        assert!(!applied.stderr.contains("Warning"), "{values}: {}", applied.stderr);
        applied.ok();
        for at in set_values(&values).into_keys() {
            if at == "image.repository" {
                seen.insert(at);
                continue;
            }
            let other = template(&with_image(without(&values, &at)));
            assert!(other.as_ref() != Ok(&text), "{at} has no effect in {values}");
            seen.insert(at);
        }
        // The operator takes the flags, and has no cluster here.
        let objects = objects(values.clone());
        let deployment = the(&objects, "Deployment", NAME);
        let mounted = "/etc/timbr-identity/ca/bundle.pem";
        let args =
            self::args(deployment).into_iter().map(|arg| arg.replace(mounted, &plane.ca_file().display().to_string()));
        let run = Command::new(env!("CARGO_BIN_EXE_timbr-identity"))
            .args(args)
            .env("KUBECONFIG", "/nonexistent")
            .env("HOME", "/nonexistent")
            .output()
            .expect("the operator runs");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() == Some(1) && said.contains("no cluster is configured"), "{values}: {said}");
        let spec = &deployment["spec"]["template"]["spec"];
        let linger = values.pointer("/webhook/lingerSeconds").and_then(Value::as_i64).unwrap_or(5);
        assert!(spec["terminationGracePeriodSeconds"].as_i64() >= Some(linger + 15), "{values}");
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"], "timbr-identity");
    }
    assert_eq!(seen, all_values(), "every value is tried");
}

/// A release on a control plane of its own.
pub struct Release {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub values: Value,
    /// Of whoever installs it.
    pub kubeconfig: PathBuf,
}

impl Release {
    pub fn upgrade(&self, verb: &str) -> String {
        self.try_upgrade(&[verb]).unwrap_or_else(|error| panic!("helm {verb}: {error}"))
    }

    fn try_upgrade(&self, verb: &[&str]) -> Result<String, String> {
        let chart = path(CHART).display().to_string();
        let args = [RELEASE, &chart, "--wait", "--timeout=3m", "--namespace", &self.namespace];
        helm(Some(&self.kubeconfig), &[verb, &args].concat(), &self.values)
    }

    fn uninstall(&self) {
        let args = ["uninstall", RELEASE, "--wait", "--timeout=3m", "--namespace", &self.namespace];
        // It takes no values.
        let output = Command::new(assets::path("helm"))
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.plane.dir())
            .output()
            .expect("helm can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["get", "-o", "json"].into_iter().chain(args.iter().copied()).collect();
        serde_json::from_str(&self.plane.kubectl(&args, None).await.ok()).expect("JSON")
    }

    /// Every object of the release, and its resourceVersion.
    async fn objects(&self) -> BTreeMap<String, String> {
        const KINDS: &str = "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,validatingwebhookconfigurations,customresourcedefinitions";
        let list = self.json(&[KINDS, "-A", "-l", &format!("app.kubernetes.io/instance={RELEASE}")]).await;
        let items = list["items"].as_array().expect("items").iter();
        items
            .map(|it| {
                let what = format!("{} {}", it["kind"].as_str().expect("a kind"), name(it));
                let namespace = it["metadata"]["namespace"].as_str().unwrap_or_default();
                // Statuses of its pods come and go.
                let version = match it["kind"].as_str() {
                    Some("Deployment" | "PodDisruptionBudget") => it["metadata"]["generation"].to_string(),
                    _ => it["metadata"]["resourceVersion"].to_string(),
                };
                (format!("{what} {namespace}"), version)
            })
            .collect()
    }

    /// Starts the process of the Deployment as a node would, where pods have no network.
    pub async fn operator(&self) -> Operator {
        let deployment = self.json(&["deployment", NAME, "-n", &self.namespace]).await;
        let pods = self.json(&["pods", "-n", &self.namespace, "-l", "app.kubernetes.io/component=operator"]).await;
        let spec = &deployment["spec"]["template"]["spec"];
        let account = spec["serviceAccountName"].as_str().expect("a ServiceAccount");
        let account = self.plane.service_account(&self.namespace, account).await;
        // Another for each process.
        let log = self.plane.dir().join(format!("operator-of-chart-{}.log", free_port()));
        let args = args(&deployment);
        let has_webhook = !args.iter().any(|arg| arg == "--webhook-bind=off");
        let mut builder = Process::builder(env!("CARGO_BIN_EXE_timbr-identity"), log)
            .args(args)
            .args(["--health-bind=127.0.0.1:0", "--metrics-bind=127.0.0.1:0"])
            .env("KUBECONFIG", account.kubeconfig);
        if has_webhook {
            builder = builder.arg(format!("--webhook-bind=127.0.0.1:{}", self.port()));
        }
        for variable in container(&deployment)["env"].as_array().expect("variables") {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => name(&pods["items"][0]).to_owned(),
                Some("metadata.namespace") => self.namespace.clone(),
                Some(other) => panic!("{other}"),
                None => variable["value"].as_str().expect("a value").to_owned(),
            };
            builder = builder.env(variable["name"].as_str().expect("a name"), value);
        }
        let operator = Operator::listening(builder.start().expect("the operator can be started"), has_webhook).await;
        operator.wait_ready().await;
        if !has_webhook {
            return operator;
        }
        eventually("the webhook is trusted", SOON, async || {
            let bundles = self.bundles().await;
            if bundles.len() == 2 { Ok(()) } else { Err(format!("{bundles:?}")) }
        })
        .await;
        operator
    }

    /// Does what cert-manager does: makes the certificate, and has it trusted.
    async fn certify(&self) {
        let of = self.json(&["certificates.cert-manager.io", "timbr-identity-webhook", "-n", &self.namespace]).await;
        assert_eq!(of["spec"]["ipAddresses"], json!(["127.0.0.1"]));
        let secret = of["spec"]["secretName"].as_str().expect("a name");
        let configuration = format!("{NAME}-{}", self.namespace);
        let trusting = self.json(&["validatingwebhookconfiguration", &configuration]).await;
        let annotation = &trusting["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(annotation, &json!(format!("{}/{}", self.namespace, name(&of))));
        let identity = self.plane.authority().server();
        let args = ["delete", "secret", secret, "-n", &self.namespace, "--ignore-not-found"];
        self.plane.kubectl(&args, None).await.ok();
        let authority = self.plane.ca_pem();
        let made = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": secret, "namespace": self.namespace},
            "stringData": {"tls.crt": identity.certificate_pem, "tls.key": identity.key_pem, "ca.crt": authority},
        });
        self.plane.kubectl(&["apply", "-f", "-"], Some(&made.to_string())).await.ok();
        use base64::Engine as _;
        let bundle = base64::engine::general_purpose::STANDARD.encode(authority);
        let patch = json!([0, 1].map(|i| {
            json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": bundle})
        }));
        let patch = patch.to_string();
        let args = ["patch", "validatingwebhookconfiguration", &configuration, "--type=json", "-p", &patch];
        self.plane.kubectl(&args, None).await.ok();
    }

    fn port(&self) -> u16 {
        let url = self.values["webhook"]["url"].as_str().expect("an address");
        url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    pub async fn bundles(&self) -> Vec<String> {
        let name = format!("{NAME}-{}", self.namespace);
        let configuration = self.json(&["validatingwebhookconfiguration", &name]).await;
        let webhooks = configuration["webhooks"].as_array().expect("webhooks").iter();
        webhooks.filter_map(|it| it["clientConfig"]["caBundle"].as_str()).map(str::to_owned).collect()
    }

    /// `examples/everything` in this namespace is delivered, and taken off again.
    pub async fn delivers(&self, timbr: &str) {
        let account = self.plane.service_account(&self.namespace, NAME).await;
        let lab = Lab::of(self.plane, timbr.to_owned(), account, vec![]);
        let folder = path("examples/everything");
        lab.kubectl(&["apply", "-f", folder.to_str().expect("a path")]).await;
        for document in documents(&folder).iter().filter(|document| is_ours(document)) {
            lab.wait(
                &format!("{}/{}", document["kind"].as_str().expect("kind").to_lowercase(), name(document)),
                "Ready",
            )
            .await;
        }
        assert_eq!(delivered(&lab).await, rendered(&folder));
        for deployment in DEPLOYMENTS {
            lab.kubectl(&["rollout", "status", &format!("deployment/{deployment}"), "--timeout=60s"]).await;
        }
        // Whether the webhook is asked shows in what it warns of.
        let warned = json!({
            "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "JwtAuthentication",
            "metadata": {"name": "second", "namespace": timbr},
            "spec": {"type": "Azure"},
        });
        let done = self.plane.kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&warned.to_string())).await;
        let has_webhook = self.values["webhook"]["enabled"] != json!(false);
        assert_eq!(done.stderr.contains("AudienceNotValidated"), has_webhook, "{done:?}");
        let forbidden = self.plane.audit().forbidden_to(&lab.account).await;
        assert_eq!(forbidden, []);
        let requests = self.plane.audit().requests_of(&lab.account).await.len();
        println!("{timbr}: delivered under the rights of the chart, {requests} requests, 0 forbidden");
    }
}

#[tokio::test]
async fn helm_installs_an_operator_that_delivers_everything_under_the_charts_rights() {
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().await));
    let namespace = plane.namespace("identity").await;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    plane.kubectl(&["label", "namespace", &namespace, enforce], None).await.ok();
    let [timbr, other, certified] =
        [plane.namespace("timbr").await, plane.namespace("other").await, plane.namespace("certified").await];
    let values = json!({
        "watchNamespaces": [timbr], "checkInterval": "0s", "log": {"format": "json"},
        "extraEnv": [{"name": "TIMBR_IDENTITY_DEBOUNCE", "value": "100ms"}],
        "webhook": {
            // Pods have no network here: the API server calls the process.
            "url": format!("https://127.0.0.1:{}", free_port()), "lingerSeconds": 0,
            "failurePolicy": {"resources": "Fail", "consumers": "Fail"},
        },
    });
    let mut release =
        Release { plane, namespace: namespace.clone(), values: with_image(values), kubeconfig: plane.kubeconfig() };
    let printed = release.upgrade("install");
    let notes = printed.split_once("NOTES:\n").expect("notes").1;
    assert!(notes.contains(&format!("looks after {timbr}.")), "{notes}");
    let status = ["rollout", "status", "deployment", NAME, "-n", &namespace, "--timeout=60s"];
    plane.kubectl(&status, None).await.ok();
    // What the notes tell to run.
    for line in notes.lines().filter_map(|line| line.strip_prefix("  kubectl ")) {
        let args: Vec<&str> = line.split(' ').collect();
        eventually(line, SOON, async || {
            let done = plane.kubectl(&args, None).await;
            if done.status.success() { Ok(()) } else { Err(done.stderr) }
        })
        .await;
    }
    let operator = release.operator().await;
    release.delivers(&timbr).await;

    // The same again changes nothing, and least of all what the operator wrote.
    let (before, bundles) = (release.objects().await, release.bundles().await);
    assert_eq!(before.len(), 9 + 16, "{before:?}");
    release.upgrade("upgrade");
    assert_eq!(release.objects().await, before);
    assert_eq!(release.bundles().await, bundles);

    people_may_what_their_roles_say(&release, &timbr).await;

    // All namespaces, under the same name.
    operator.stop().await;
    release.values["watchNamespaces"] = json!([]);
    release.values["clusterWide"] = json!(true);
    release.upgrade("upgrade");
    assert_eq!(release.bundles().await, bundles);
    let left = release.json(&["roles", "-n", &timbr]).await;
    assert_eq!(left["items"], json!([]), "the Role of the namespace is gone");
    let operator = release.operator().await;
    release.delivers(&other).await;
    operator.stop().await;

    // The kinds stay, and with them what people asked for; the next release takes them over.
    release.uninstall();
    let left = release.objects().await;
    assert!(
        left.len() == Kind::ALL.len() && left.keys().all(|it| it.starts_with("CustomResourceDefinition ")),
        "{left:?}"
    );
    assert!(plane.kubectl(&["get", "timbr", "-n", &other], None).await.ok().lines().count() > Kind::ALL.len());
    release.values["crds"] = json!({"keep": false});
    release.upgrade("install");
    assert!(plane.kubectl(&["get", "timbr", "-n", &other], None).await.ok().lines().count() > Kind::ALL.len());
    release.uninstall();
    eventually("nothing of the release is left", SOON, async || {
        let left = release.objects().await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;

    // CRDs that were installed without Helm are left alone, unless it is told to take them.
    plane.kubectl(&["apply", "-f", &path("crds").display().to_string()], None).await.ok();
    release.values["crds"] = json!({});
    let refused = release.try_upgrade(&["install"]).expect_err("the CRDs are there");
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    release.try_upgrade(&["install", "--take-ownership"]).unwrap_or_else(|error| panic!("{error}"));

    // With a certificate of cert-manager's, the operator has no right on its webhook's configuration, and needs none.
    install_kinds_of_cert_manager(plane).await;
    release.values["clusterWide"] = json!(false);
    release.values["watchNamespaces"] = json!([certified]);
    release.values["webhook"]["certManager"] = json!({"enabled": true});
    release.upgrade("upgrade");
    let roles = release.json(&["clusterroles", "-l", &format!("app.kubernetes.io/instance={RELEASE}")]).await;
    assert_eq!(roles["items"].as_array().map(Vec::len), Some(people().len()));
    release.certify().await;
    let operator = release.operator().await;
    release.delivers(&certified).await;
    operator.stop().await;
    owner_of_a_namespace_installs(plane).await;
}

/// Whoever has a namespace, and nothing of the cluster, installs the operator there for this namespace.
async fn owner_of_a_namespace_installs(plane: &'static ControlPlane) {
    let namespace = plane.namespace("owned").await;
    let args = ["create", "rolebinding", "owner", "--clusterrole=cluster-admin", "--user=owner", "-n", &namespace];
    plane.kubectl(&args, None).await.ok();
    let values = json!({
        "crds": {"enabled": false}, "aggregateRoles": false, "webhook": {"enabled": false},
        "checkInterval": "0s", "log": {"format": "json"},
    });
    let kubeconfig = plane.user_kubeconfig("owner", &[]);
    let release = Release { plane, namespace: namespace.clone(), values: with_image(values), kubeconfig };
    release.upgrade("install");
    let operator = release.operator().await;
    release.delivers(&namespace).await;
    operator.stop().await;
    release.uninstall();
}

/// By the roles of Kubernetes that take in those of the chart.
async fn people_may_what_their_roles_say(release: &Release, timbr: &str) {
    for role in ["view", "edit", "admin"] {
        let user = format!("--user={role}er");
        let args = ["create", "rolebinding", role, &format!("--clusterrole={role}"), &user, "-n", timbr];
        release.plane.kubectl(&args, None).await.ok();
    }
    let of_chart = format!("--clusterrole={NAME}-{}:trust", release.namespace);
    let args = ["create", "rolebinding", "trust", &of_chart, "--user=truster", "-n", timbr];
    release.plane.kubectl(&args, None).await.ok();
    let may = async |user: &str, verb: &str, what: &str| {
        let user = format!("--as={user}");
        let what = format!("{what}.identity.timbr.ai");
        let asked = release.plane.kubectl(&["auth", "can-i", verb, &what, &user, "-n", timbr], None).await;
        asked.stdout.trim() == "yes"
    };
    let may_of_status = async |user: &str, plural: &str| {
        let (user, what) = (format!("--as={user}"), format!("{plural}.identity.timbr.ai"));
        let args = ["auth", "can-i", "patch", &what, "--subresource=status", &user, "-n", timbr];
        release.plane.kubectl(&args, None).await.stdout.trim() == "yes"
    };
    eventually("the roles are taken in", SOON, async || {
        if may("adminer", "patch", "keyvaultbindings").await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    for kind in Kind::ALL.iter().map(|kind| kind.plural()) {
        let of = |name: &str| {
            let role = people().into_iter().find(|role| role.name == name).expect("a role");
            role.kinds.iter().any(|of| of.plural() == kind)
        };
        for (user, role) in
            [("viewer", None), ("editer", Some("edit")), ("adminer", Some("admin")), ("truster", Some("trust"))]
        {
            let writes = role.is_some_and(of);
            assert_eq!(may(user, "patch", kind).await, writes, "{user} patches {kind}");
            assert!(!may_of_status(user, kind).await, "{user} writes the status of {kind}");
        }
        assert!(may("viewer", "watch", kind).await, "{kind}");
    }
}
