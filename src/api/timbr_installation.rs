//! `TimbrInstallation`: where one Timbr runs, when its names differ from the defaults.

use kube::{CustomResource, KubeSchema, core::Rule};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Code, CommonStatus, SecretKeyRef, rules, status};

/// One Timbr: its Deployments in this namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "identity.timbr.ai",
    version = "v1alpha1",
    kind = "TimbrInstallation",
    plural = "timbrinstallations",
    shortname = "tinst",
    category = "timbr",
    namespaced,
    status = "TimbrInstallationStatus",
    derive = "PartialEq",
    doc = "One Timbr: its platform, server and api Deployments in this namespace. Optional: without one, a namespace that holds resources of this group has the Deployments timbr-platform, timbr-server and timbr-api."
)]
#[serde(rename_all = "camelCase")]
pub struct TimbrInstallationSpec {
    /// The Deployments and containers of Timbr's three components.
    #[serde(default)]
    pub components: Components,
    /// What to do about a variable that somebody else sets to something else. Report (the default): it is left
    /// alone, and the resource says who sets it. Adopt: it is taken over, and put back when the resource is deleted.
    /// While it is adopted, a tool that applies on the server and still renders it (Helm 4, Flux) fails on its own
    /// next change of it: the lasting way is to drop the variable from what the tool deploys.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// How variables get to the pods. Patch (the default): the operator puts them into the Deployments. Reference: it
    /// keeps them in one Secret a component, timbr-platform-identity, timbr-server-identity and timbr-api-identity, and
    /// the Deployments name that Secret themselves, with envFrom: for charts and repositories that are to say all that
    /// a Deployment holds.
    #[serde(default)]
    pub delivery: Delivery,
    /// When new content is delivered. WhenVerified (the default): once every Required check of the resource has
    /// passed, or nobody could be asked for a while (the operator's --unknown-grace); what a check refuses is not
    /// delivered. Always: at once, also what a check refuses; Verified says so.
    #[serde(default)]
    pub rollout: RolloutPolicy,
    /// What holds for a component that no InboundAccessPolicy speaks of. Optional (the default): everybody may use it.
    /// Required: nobody may.
    #[serde(default)]
    pub access_policy: AccessPolicy,
    /// Lets the operator run statements through Timbr's REST API. Absent: they are shown in the status
    /// of the RoleGroupSync, for a person to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<Sql>,
    /// true: nothing of this installation is checked or changed; what is delivered stays.
    #[serde(default)]
    pub suspend: bool,
}

/// What to do about a variable that somebody else sets to something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnConflict {
    /// Leave it alone and say so.
    #[default]
    Report,
    /// Take it over, and put it back in the end.
    Adopt,
}

/// How variables get to the pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Entries of the operator's in the pod templates.
    #[default]
    Patch,
    /// A Secret that the pod templates name.
    Reference,
}

/// When new content is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPolicy {
    /// Once it is verified.
    #[default]
    WhenVerified,
    /// At once.
    Always,
}

/// What holds for a component that no InboundAccessPolicy speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessPolicy {
    /// Everybody may use it.
    #[default]
    Optional,
    /// Nobody may.
    Required,
}

/// How statements are run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sql {
    /// Where Timbr's REST API answers: a Service of this namespace, or a host that the operator is
    /// told to allow (--allowed-sql-hosts). Absent: port 9000 of the Service that has the
    /// name of the api's Deployment, by http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::SQL_URL.cel())]
    pub url: Option<String>,
    /// The ontology that statements are sent to.
    #[serde(default = "system_db")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ONTOLOGY.cel())]
    pub ontology: String,
    /// A Secret of this namespace that holds an API key of a Timbr user who may edit roles: GRANT EDIT
    /// ON ALL ROLE TO USER u, and GRANT QUERY ON ALL ROLE TO USER u.
    pub token_secret_ref: SecretKeyRef,
    /// Roles that a RoleGroupSync may map; statements for others are shown, not run. Absent: all but
    /// admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::ROLE.cel_each())]
    pub allowed_roles: Option<Vec<String>>,
}

fn system_db() -> String {
    "system_db".to_owned()
}

/// The three components of Timbr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = usual_deployments)]
#[x_kube(validation = distinct_components())]
pub struct Components {
    /// The web application.
    #[serde(default)]
    pub platform: ComponentTarget,
    /// The engine.
    #[serde(default)]
    pub server: ComponentTarget,
    /// The REST API (an optional part of Timbr).
    #[serde(default)]
    pub api: ComponentTarget,
}

impl Default for Components {
    /// The usual names, spelled out: the API server checks a default against the rules without
    /// filling in the defaults inside it.
    fn default() -> Self {
        let usual = |component: Component| ComponentTarget {
            deployment: Some(component.usual_deployment().to_owned()),
            container: None,
        };
        Self { platform: usual(Component::Platform), server: usual(Component::Server), api: usual(Component::Api) }
    }
}

impl Components {
    /// The target of a component.
    pub fn get(&self, component: Component) -> &ComponentTarget {
        match component {
            Component::Platform => &self.platform,
            Component::Server => &self.server,
            Component::Api => &self.api,
        }
    }
}

/// Where a component runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentTarget {
    /// Name of the Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME.cel())]
    pub deployment: Option<String>,
    /// Name of the container in its pod template. Absent: the component's usual names are tried
    /// (timbr-platform; timbr-server, then timbr; timbr-api), then the only container there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::CONTAINER_NAME.cel())]
    pub container: Option<String>,
}

/// A part of Timbr with a Deployment of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Component {
    /// timbr-server, the engine.
    Server,
    /// timbr-api, the REST API.
    Api,
    /// timbr-platform, the web application.
    Platform,
}

impl Component {
    /// All components, in the order in which they are rolled out.
    pub const ALL: [Component; 3] = [Component::Server, Component::Api, Component::Platform];

    /// The component's name in labels and in names of Secrets.
    pub const fn name(self) -> &'static str {
        match self {
            Component::Platform => "platform",
            Component::Server => "server",
            Component::Api => "api",
        }
    }

    /// The component's field in `spec.components` is its [`Self::name`]; this is the default of its
    /// `deployment`.
    pub const fn usual_deployment(self) -> &'static str {
        match self {
            Component::Platform => "timbr-platform",
            Component::Server => "timbr-server",
            Component::Api => "timbr-api",
        }
    }

    /// The beginning of the names of the Secrets that carry its sensitive variables.
    pub fn secret_prefix(self) -> String {
        format!("timbr-{}-identity-", self.name())
    }

    /// The Secret that carries all of its variables under `delivery: Reference`. Charts name it.
    pub const fn stable_secret(self) -> &'static str {
        match self {
            Component::Platform => "timbr-platform-identity",
            Component::Server => "timbr-server-identity",
            Component::Api => "timbr-api-identity",
        }
    }

    /// The port at which it listens, unless a Deployment is another than Timbr's.
    /// Source: Timbr, "Kubernetes deployment", ports of the services.
    pub const fn usual_port(self) -> i32 {
        match self {
            Component::Platform => 8088,
            Component::Server => 11000,
            Component::Api => 9000,
        }
    }

    /// Container names that are tried, in this order, when none is given. Timbr's published
    /// manifests call the server's container `timbr`, its documentation `timbr-server`.
    pub const fn usual_containers(self) -> &'static [&'static str] {
        match self {
            Component::Platform => &["timbr-platform"],
            Component::Server => &["timbr-server", "timbr"],
            Component::Api => &["timbr-api"],
        }
    }
}

/// What the operator says about a TimbrInstallation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = status::first_sight)]
pub struct TimbrInstallationStatus {
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub common: CommonStatus,
    /// What was found of each component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentStatus>,
    /// The resources that belong to this installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// What was found of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The component.
    pub name: Component,
    /// The Deployment looked for.
    pub deployment: String,
    /// The container found in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// uid of the Deployment found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Found, Missing (no such Deployment), or Ambiguous (no container could be chosen).
    pub state: ComponentState,
    /// When Ambiguous: the containers there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// Whether a component was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ComponentState {
    /// Deployment and container are known.
    Found,
    /// There is no such Deployment.
    Missing,
    /// The Deployment is there, but not the container.
    Ambiguous,
}

/// A count of an installation's resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// How many there are.
    pub total: u32,
    /// How many are Ready.
    pub ready: u32,
    /// ready/total, for the printed column.
    pub summary: String,
}

/// Each component's own default for `deployment`, which one shared type cannot say.
fn usual_deployments(schema: &mut Schema) {
    for component in Component::ALL {
        let pointer = format!("/properties/{}/properties/deployment", component.name());
        if let Some(deployment) = schema.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            deployment.insert("default".to_owned(), component.usual_deployment().into());
        }
    }
}

/// Sentence of [`Code::ComponentDuplicate`].
pub const COMPONENT_DUPLICATE: &str =
    "two components name the same container of the same Deployment; give each its own deployment or container";

/// Two components may share a Deployment only with a container name each.
fn distinct_components() -> Rule {
    let differ = |a: &str, b: &str| {
        format!(
            "(self.{a}.deployment != self.{b}.deployment || (has(self.{a}.container) && has(self.{b}.container) && self.{a}.container != self.{b}.container))"
        )
    };
    let rule = [differ("platform", "server"), differ("platform", "api"), differ("server", "api")].join(" && ");
    Rule::new(rule).message(format!("{}: {COMPONENT_DUPLICATE}", Code::ComponentDuplicate).as_str())
}
