//! Random histories of a namespace, and what there is at the end of each: for the engine's tests, which play
//! them in memory, and for the operator's, which play them on a real API server.
//!
//! Whatever happened on the way, the end must be as if what is there last had been applied to an empty namespace.
//! So each history ends with all that its resources need; what stays on a Deployment on account of a resource that
//! cannot be delivered depends on what it was before, by intention.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value as Json, json};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Somebody applies a manifest.
    Apply(Json),
    /// Somebody deletes an object.
    Delete(&'static str, String),
    /// Another hand sets its own variable on a Deployment: this one, to that value.
    Theirs(String, &'static str),
    /// Another hand sets a variable that the operator delivers to this Deployment by an entry.
    Ours(String),
    /// The operator ends, by a kill or not, and another begins.
    Restart(bool),
    /// Nothing happens until the operator has done everything.
    Settle,
}

/// The variable of another hand.
pub const THEIRS: &str = "TIMBR_SITE";
/// The variable of ours that another hand sets.
pub const OURS: (&str, &str) = ("OAUTH_PROVIDER", "azure");

/// A history.
#[derive(Debug)]
pub struct History {
    /// What happens.
    pub acts: Vec<Act>,
    /// The same end from an empty namespace.
    pub from_scratch: Vec<Act>,
}

impl History {
    /// The history of a seed, of so many acts beside the first and the last.
    pub fn of(seed: u64, acts: usize) -> Self {
        let mut author = Author {
            rng: StdRng::seed_from_u64(seed),
            now: Namespace::default(),
            acts: vec![],
            tried: false,
            refers: false,
        };
        for manifest in DEPLOYMENTS.map(|name| deployment(name, false)).into_iter().chain([entra("first")]) {
            author.apply(manifest);
        }
        for _ in 0..acts {
            author.act();
        }
        author.mend();
        Self { from_scratch: author.now.acts(), acts: author.acts }
    }
}

const DEPLOYMENTS: [&str; 4] = ["timbr-platform", "timbr-server", "timbr-api", "web"];
/// The kinds of which there are resources.
pub const KINDS: [&str; 7] = [
    "AzureSso",
    "DatabricksPassthrough",
    "RoleGroupSync",
    "KeyVaultBinding",
    "JwtAuthentication",
    "JwtTenant",
    "TimbrInstallation",
];

/// What is there.
#[derive(Default)]
struct Namespace {
    objects: BTreeMap<(&'static str, String), Json>,
    theirs: BTreeMap<String, &'static str>,
}

impl Namespace {
    fn acts(&self) -> Vec<Act> {
        let rank =
            |kind: &str| ["Deployment", "Secret", "TimbrInstallation", "AzureSso"].iter().position(|it| *it == kind);
        let mut objects: Vec<_> = self.objects.iter().collect();
        objects.sort_by_key(|((kind, _), _)| rank(kind).unwrap_or(usize::MAX));
        let applied = objects.into_iter().map(|(_, manifest)| Act::Apply(manifest.clone()));
        let theirs = self.theirs.iter().map(|(deployment, value)| Act::Theirs(deployment.clone(), value));
        applied.chain(theirs).collect()
    }

    fn names(&self, kinds: &[&'static str]) -> Vec<(&'static str, String)> {
        self.objects.keys().filter(|(kind, _)| kinds.contains(kind)).cloned().collect()
    }

    fn has(&self, kind: &'static str) -> bool {
        self.objects.keys().any(|(of, _)| *of == kind)
    }

    fn installation(&self) -> Option<&Json> {
        self.objects.get(&("TimbrInstallation", "main".to_owned())).map(|it| &it["spec"])
    }

    /// The Deployment of the platform.
    fn platform(&self) -> String {
        let named = self.installation().and_then(|spec| spec["components"]["platform"]["deployment"].as_str());
        named.unwrap_or("timbr-platform").to_owned()
    }

    /// Whether variables get to the platform by entries.
    fn has_entries(&self) -> bool {
        let by_reference = self.installation().is_some_and(|spec| spec["delivery"] == "Reference");
        let platform = self.objects.get(&("Deployment", self.platform()));
        let sso = self.objects.get(&("AzureSso", "sso".to_owned()));
        !by_reference
            && platform.is_some_and(|platform| !refers(platform))
            && sso.is_some_and(|sso| sso["spec"]["clientSecretRef"]["name"] == "entra")
            && self.has("Secret")
    }
}

struct Author {
    rng: StdRng,
    now: Namespace,
    acts: Vec<Act>,
    /// Whether a variable of ours was changed: a second time soon after would be left alone.
    tried: bool,
    /// Whether a Secret that charts name may be there.
    refers: bool,
}

impl Author {
    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.rng).expect("something").clone()
    }

    fn apply(&mut self, manifest: Json) {
        let text = |value: &Json| value.as_str().expect("a string").to_owned();
        let kinds = KINDS.into_iter().chain(["Deployment", "Secret"]);
        let kind = kinds.into_iter().find(|kind| manifest["kind"] == *kind).expect("a known kind");
        self.refers |= refers(&manifest) || manifest["spec"]["delivery"] == "Reference";
        self.now.objects.insert((kind, text(&manifest["metadata"]["name"])), manifest.clone());
        self.acts.push(Act::Apply(manifest));
    }

    fn delete(&mut self, (kind, name): (&'static str, String)) {
        // What was whose is on record on the Deployment. A Secret that charts name outlives it, and without the record
        // the variables of a key vault stay there, by intention.
        let needs_record = kind == "KeyVaultBinding" && self.refers;
        if needs_record {
            if !self.now.objects.contains_key(&("Deployment", "timbr-server".to_owned())) {
                self.apply(deployment("timbr-server", false));
            }
            self.acts.push(Act::Settle);
        }
        self.now.objects.remove(&(kind, name.clone()));
        if kind == "Deployment" {
            self.now.theirs.remove(&name);
        }
        self.acts.push(Act::Delete(kind, name));
        if needs_record {
            self.acts.push(Act::Settle);
        }
    }

    fn act(&mut self) {
        match self.rng.random_range(0..24) {
            0..=3 => {
                let sso = self.resource("AzureSso");
                self.apply(sso);
            }
            4..=8 => {
                let kind = self.any(&KINDS[1..6]);
                let resource = self.resource(kind);
                self.apply(resource);
            }
            9..=11 => {
                let there = self.now.names(&KINDS);
                if !there.is_empty() {
                    let one = self.any(&there);
                    self.delete(one);
                }
            }
            12..=13 => {
                let value = self.any(&["first", "second", "third"]);
                self.apply(entra(value));
            }
            14..=16 => {
                let installation = self.resource("TimbrInstallation");
                self.apply(installation);
            }
            17..=18 => {
                let (name, refers) = (self.any(&DEPLOYMENTS), self.rng.random_bool(0.5));
                self.apply(deployment(name, refers));
            }
            19 => {
                let there = self.now.names(&["Deployment", "Secret"]);
                if !there.is_empty() {
                    let one = self.any(&there);
                    self.delete(one);
                }
            }
            20 => {
                let there = self.now.names(&["Deployment"]);
                if !there.is_empty() {
                    let ((_, name), value) = (self.any(&there), self.any(&["here", "there"]));
                    self.now.theirs.insert(name.clone(), value);
                    self.acts.push(Act::Theirs(name, value));
                }
            }
            21 if !self.tried && self.now.has_entries() => {
                self.tried = true;
                // Were it given up before it is taken back, it would be the other hand's.
                self.acts.extend([Act::Settle, Act::Ours(self.now.platform()), Act::Settle]);
            }
            22 => {
                let kill = self.rng.random_bool(0.5);
                self.acts.push(Act::Restart(kill));
            }
            _ => self.acts.push(Act::Settle),
        }
    }

    /// Whatever is needed is there at last.
    fn mend(&mut self) {
        let by_reference = self.now.installation().is_some_and(|spec| spec["delivery"] == "Reference");
        for name in DEPLOYMENTS {
            let there = self.now.objects.get(&("Deployment", name.to_owned()));
            if there.is_none() || (by_reference && !there.is_some_and(refers)) {
                self.apply(deployment(name, by_reference));
            }
        }
        if !self.now.has("Secret") {
            self.apply(entra("mended"));
        }
        let sso = self.now.objects.get(&("AzureSso", "sso".to_owned())).cloned();
        let needs_sso = KINDS[1..4].iter().any(|kind| self.now.has(kind));
        match sso {
            Some(sso) if sso["spec"]["clientSecretRef"]["name"] == "entra" => {}
            None if !needs_sso => {}
            sso => {
                let mut sso = sso.unwrap_or_else(|| self.resource("AzureSso"));
                sso["spec"]["clientSecretRef"]["name"] = json!("entra");
                self.apply(sso);
            }
        }
        if self.now.has("JwtTenant") && !self.now.has("JwtAuthentication") {
            let authentication = self.resource("JwtAuthentication");
            self.apply(authentication);
        }
    }

    /// A resource of a kind, in one of the ways in which it can be.
    fn resource(&mut self, kind: &'static str) -> Json {
        let from_sso = json!({"credentialsFrom": {"azureSso": "sso"}});
        let (name, mut spec) = match kind {
            "AzureSso" => (
                "sso",
                json!({
                    "tenantId": self.any(&["a.example.com", "b.example.com"]),
                    "clientId": "11111111-2222-3333-4444-555555555555",
                    // At times one that is not there.
                    "clientSecretRef": {"name": self.any(&["entra", "entra", "entra", "gone"]), "key": "client-secret"},
                    "publicUrl": "https://timbr.example.com",
                    "userIdentity": self.any(&["Email", "UserPrincipalName"]),
                }),
            ),
            "DatabricksPassthrough" => (
                "databricks",
                json!({
                    "workspaceHost": self.any(&["adb-1.azuredatabricks.net", "adb-2.azuredatabricks.net"]),
                    "refreshTokenExpiration": self.any(&["10m", "20m"]),
                }),
            ),
            "RoleGroupSync" => (
                "groups",
                json!({
                    "interval": self.any(&["1h", "24h"]),
                    "autoCreateUsers": self.any(&[true, false]),
                    "mappings": [{"role": "viewer", "group": {"name": "Analysts"}}],
                }),
            ),
            "KeyVaultBinding" => (
                "vault",
                json!({
                    "vaultUrl": self.any(&["https://contoso.vault.azure.net", "https://fabrikam.vault.azure.net"]),
                    // What is retained outlives its resource, by intention.
                    "deletionPolicy": "Remove",
                }),
            ),
            "JwtAuthentication" => (
                "jwt",
                json!({
                    "type": "Azure",
                    "audience": self.any(&["api://timbr", "api://other"]),
                    "issuer": "https://login.example.com/",
                }),
            ),
            "JwtTenant" => (self.any(&["acme", "initech"]), json!({"audience": self.any(&["api://one", "api://two"])})),
            _ => (
                "main",
                json!({
                    "delivery": self.any(&["Patch", "Reference"]),
                    "components": {"platform": {"deployment": self.any(&["timbr-platform", "timbr-platform", "web"])}},
                }),
            ),
        };
        let fields = spec.as_object_mut().expect("fields");
        match kind {
            "RoleGroupSync" | "KeyVaultBinding" => fields.extend(from_sso.as_object().expect("fields").clone()),
            "JwtTenant" => fields.extend([("tenant".to_owned(), json!(name))]),
            _ => {}
        }
        json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    }
}

fn entra(value: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "entra"}, "stringData": {"client-secret": value}})
}

/// What a chart renders: it names the component's Secret, or does not.
fn deployment(name: &str, refers: bool) -> Json {
    let (container, secret) = match name {
        "timbr-server" => ("timbr", "timbr-server-identity"),
        "timbr-api" => ("timbr-api", "timbr-api-identity"),
        _ => ("timbr-platform", "timbr-platform-identity"),
    };
    let mut container = json!({
        "name": container,
        "image": "timbr.example/stand-in:1",
        "env": [{"name": "TIMBR_LOG_LEVEL", "value": "info"}],
    });
    if refers {
        container["envFrom"] = json!([{"secretRef": {"name": secret, "optional": true}}]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    })
}

fn refers(deployment: &Json) -> bool {
    !deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"].is_null()
}
