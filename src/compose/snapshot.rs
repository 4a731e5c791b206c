//! What compose sees: everything it may base a decision on, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Delivery, OnConflict, Resource, RolloutPolicy, Spec, TimbrInstallationSpec},
    policy::Directory,
};

use super::{
    Consumer, DeploymentPlan, Failure, Foreign, Hands, InstallationKey, LiveDeployment, LiveGuards, LiveNetwork,
    LiveSecret, LiveValue, NameKey, Trials, Value,
};

/// The result of looking for an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// It is not there.
    Missing,
    /// The operator may not read it.
    Forbidden,
    /// Offline: it is not in the input, which says nothing about a cluster.
    NotInInput,
}

impl<T> Lookup<T> {
    /// The object, if it is there.
    pub fn found(&self) -> Option<&T> {
        match self {
            Lookup::Found(object) => Some(object),
            _ => None,
        }
    }
}

/// Which of Microsoft's clouds the tenants are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Azure public.
    #[default]
    Public,
    /// Azure US Government.
    UsGov,
    /// Azure China (21Vianet).
    China,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 3] = [Self::Public, Self::UsGov, Self::China];

    /// Where people of this cloud's tenants sign in.
    /// Source: Microsoft, "National clouds", Microsoft Entra authentication endpoints.
    pub const fn authority(self) -> &'static str {
        match self {
            Cloud::Public => "https://login.microsoftonline.com",
            Cloud::UsGov => "https://login.microsoftonline.us",
            Cloud::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// Where Microsoft Graph of this cloud is.
    /// Source: Microsoft, "National cloud deployments", Microsoft Graph root endpoints.
    pub const fn graph(self) -> &'static str {
        match self {
            Cloud::Public => "https://graph.microsoft.com",
            Cloud::UsGov => "https://graph.microsoft.us",
            Cloud::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Who issues the tokens of version 1 of this cloud's directories.
    /// Source: Microsoft, "National clouds" and "Access tokens in the Microsoft identity platform", issuers; the US
    /// Government's directories have the public cloud's.
    pub const fn sts(self) -> &'static str {
        match self {
            Cloud::Public | Cloud::UsGov => "https://sts.windows.net",
            Cloud::China => "https://sts.chinacloudapi.cn",
        }
    }

    /// What Azure's command line calls this cloud. Source: Microsoft, "Manage clouds with the Azure CLI".
    pub const fn az_name(self) -> &'static str {
        match self {
            Cloud::Public => "AzureCloud",
            Cloud::UsGov => "AzureUSGovernment",
            Cloud::China => "AzureChinaCloud",
        }
    }

    /// How the hosts of this cloud's key vaults end.
    /// Source: Microsoft, "Azure Key Vault keys, secrets and certificates overview", DNS suffixes.
    pub const fn vault_suffix(self) -> &'static str {
        match self {
            Cloud::Public => ".vault.azure.net",
            Cloud::UsGov => ".vault.usgovcloudapi.net",
            Cloud::China => ".vault.azure.cn",
        }
    }
}

/// The operator's settings that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host that issues tokens, without a trailing slash. It receives credentials, so it never
    /// comes from a resource.
    pub authority_url: String,
    /// Who issues directories' tokens of version 1, without a trailing slash.
    pub sts_url: String,
    /// How the hosts of key vaults end, with the dot. They receive credentials too.
    pub vault_suffix: String,
    /// What this cluster is called, in access policies.
    pub cluster_name: Option<String>,
    /// Whether there is a webhook, which keeps out whom access policies do not admit.
    pub webhook: bool,
    /// Hosts outside the namespace that may receive Timbr's API key.
    pub allowed_sql_hosts: BTreeSet<String>,
    /// Only Secrets with the label `identity.timbr.ai/credential: "true"` may be referenced.
    pub require_secret_opt_in: bool,
}

impl Settings {
    /// Where directories' tokens come from.
    pub fn entra(&self) -> Directory {
        Directory { v1: self.sts_url.clone(), v2: self.authority_url.clone() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            authority_url: Cloud::Public.authority().to_owned(),
            sts_url: Cloud::Public.sts().to_owned(),
            vault_suffix: Cloud::Public.vault_suffix().to_owned(),
            cluster_name: None,
            webhook: true,
            allowed_sql_hosts: BTreeSet::new(),
            require_secret_opt_in: false,
        }
    }
}

/// One installation, and what of its namespace concerns it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which installation.
    pub key: InstallationKey,
    /// The operator's settings.
    pub settings: Settings,
    /// The key of Secret names.
    pub name_key: NameKey,
    /// Every TimbrInstallation of the namespace.
    pub installations: Vec<Resource<TimbrInstallationSpec>>,
    /// Every other resource of the namespace.
    pub resources: Vec<Resource<Spec>>,
    /// What providers in other namespaces want of what those among them want.
    pub foreign: Vec<Foreign>,
    /// Whether these are all that there are. Files may hold a part: what is not in them is unknown, not
    /// missing.
    pub complete: bool,
    /// The Deployments that [`super::needs`] names, live.
    pub deployments: BTreeMap<String, Lookup<LiveDeployment>>,
    /// The Secrets that [`super::needs`] names, live; ours among them.
    pub secrets: BTreeMap<String, Lookup<LiveSecret>>,
    /// The NetworkPolicies that [`super::needs`] names, live.
    pub networks: BTreeMap<String, Lookup<LiveNetwork>>,
    /// By which access policies the namespace's Timbr is guarded, as it is recorded; `None`: it has no policies and no
    /// record.
    pub guards: Option<Lookup<LiveGuards>>,
    /// Objects that keep others out and could not be written, by what messages call them, and why.
    pub unguarded: BTreeMap<String, Failure>,
    /// Who runs that uses this namespace's Timbr.
    pub consumers: BTreeSet<Consumer>,
    /// What is remembered of other hands on the Deployments.
    pub hands: Hands,
    /// What this process knows of checks; `None` where nothing is tried out, and nothing waits for it.
    pub trials: Option<Trials>,
    /// Deployments that refused a trial of the plan (see [`super::Plan::trial`]), and why.
    pub refused: BTreeMap<String, Failure>,
}

impl Snapshot {
    /// Takes in what a Deployment's request left: the Deployment, and the Secrets that were made for it.
    pub fn take_in(&mut self, plan: &DeploymentPlan, live: LiveDeployment) {
        self.deployments.insert(plan.name.clone(), Lookup::Found(live));
        for secret in plan.secrets.iter().filter(|secret| !secret.present) {
            self.secrets.insert(secret.name.clone(), Lookup::Found(secret.live()));
        }
    }

    /// Whether the installation takes over what others set.
    pub(super) fn adopts(&self) -> bool {
        self.spec().is_some_and(|spec| spec.on_conflict == OnConflict::Adopt)
    }

    /// How variables get to the pods; `None` while the installation is suspended, and each stays as it is.
    pub(super) fn delivery(&self) -> Option<Delivery> {
        match self.spec() {
            Some(spec) => (!spec.suspend).then_some(spec.delivery),
            None => Some(Delivery::Patch),
        }
    }

    /// When new content is delivered.
    pub(super) fn rollout(&self) -> RolloutPolicy {
        self.spec().map(|spec| spec.rollout).unwrap_or_default()
    }

    /// Whether a live variable has this value.
    pub(super) fn is_value(&self, live: &LiveValue, value: &Value) -> bool {
        match (live, value) {
            (LiveValue::Plain(live), Value::Plain(_)) => value.is(live),
            (LiveValue::SecretKey { name, key }, Value::Sensitive(_)) => {
                let secret = self.secrets.get(name).and_then(Lookup::found);
                secret.and_then(|secret| secret.data.get(key)).is_some_and(|live| value.is(live))
            }
            _ => false,
        }
    }

    /// What the TimbrInstallation says, if there is one that can be read.
    fn spec(&self) -> Option<&TimbrInstallationSpec> {
        let name = self.key.name.as_deref();
        let installation = self.installations.iter().find(|there| Some(there.meta.name.as_str()) == name);
        installation.and_then(|installation| installation.spec.as_ref().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Typed again from the sources: what goes to these hosts is credentials.
    #[test]
    fn each_cloud_has_its_hosts() {
        let rows = [
            (Cloud::Public, "AzureCloud", "login.microsoftonline.com", "graph.microsoft.com", ".vault.azure.net"),
            (
                Cloud::UsGov,
                "AzureUSGovernment",
                "login.microsoftonline.us",
                "graph.microsoft.us",
                ".vault.usgovcloudapi.net",
            ),
            (
                Cloud::China,
                "AzureChinaCloud",
                "login.partner.microsoftonline.cn",
                "microsoftgraph.chinacloudapi.cn",
                ".vault.azure.cn",
            ),
        ];
        for (cloud, name, authority, graph, vaults) in rows {
            let hosts = [authority, graph].map(|host| format!("https://{host}"));
            assert_eq!([cloud.authority(), cloud.graph()], hosts.each_ref().map(String::as_str), "{name}");
            let sts = if cloud == Cloud::China { "https://sts.chinacloudapi.cn" } else { "https://sts.windows.net" };
            assert_eq!(cloud.sts(), sts, "{name}");
            assert_eq!((cloud.az_name(), cloud.vault_suffix()), (name, vaults));
        }
    }
}
