//! Resources, Deployments and Secrets that tests start from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use timbr_identity::{
    api::{
        AzureSsoSpec, CommonStatus, ComponentTarget, Components, InstallationRef, Kind, Meta, Resource, SecretKeyRef,
        Sensitive, Spec, TimbrInstallationSpec, Unreadable, UserIdentity,
    },
    compose::{InstallationKey, LiveContainer, LiveDeployment, LiveEnv, LiveSecret, LiveValue, Ownership, Rollout},
};

pub const NAMESPACE: &str = "timbr";
pub const PLATFORM: &str = "timbr-platform";
pub const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
/// What must never be printed.
pub const CANARY: &str = "canary-of-a-secret";

/// A second of the tests' time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

pub fn key(name: Option<&str>) -> InstallationKey {
    InstallationKey { namespace: NAMESPACE.to_owned(), name: name.map(str::to_owned) }
}

pub fn meta(kind: Kind, name: &str) -> Meta {
    Meta {
        kind,
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        generation: 1,
        created: Some(at(0)),
        requested_at: None,
        sync_requested_at: None,
    }
}

/// A valid AzureSso with what is required and nothing else.
pub fn azure_sso_spec() -> AzureSsoSpec {
    AzureSsoSpec {
        tenant_id: "contoso.onmicrosoft.com".to_owned(),
        client_id: Some(CLIENT_ID.to_owned()),
        client_id_ref: None,
        client_secret_ref: secret_ref("entra", "client-secret"),
        public_url: "https://timbr.example.com".to_owned(),
        user_identity: UserIdentity::Email,
        self_registration: None,
        password_login: None,
        installation_ref: None,
        suspend: false,
    }
}

pub fn azure_sso(name: &str, spec: Result<AzureSsoSpec, Unreadable>) -> Resource<Spec> {
    Resource { meta: meta(Kind::AzureSso, name), spec: spec.map(Spec::AzureSso), status: None }
}

/// A TimbrInstallation whose platform is this Deployment.
pub fn installation(name: &str, platform: &str) -> Resource<TimbrInstallationSpec> {
    let target = |component: &str| ComponentTarget { deployment: Some(component.to_owned()), container: None };
    let components = Components {
        platform: target(platform),
        server: target(&format!("{name}-server")),
        api: target(&format!("{name}-api")),
    };
    let spec = TimbrInstallationSpec { components, ..Default::default() };
    Resource { meta: meta(Kind::TimbrInstallation, name), spec: Ok(spec), status: None }
}

pub fn secret_ref(name: &str, key: &str) -> SecretKeyRef {
    SecretKeyRef { name: name.to_owned(), key: key.to_owned() }
}

pub fn installation_ref(name: &str) -> InstallationRef {
    InstallationRef { name: name.to_owned() }
}

/// A Deployment whose only container has these variables, in other people's hands.
pub fn deployment(container: &str, env: &[(&str, &str)]) -> LiveDeployment {
    let env = env.iter().map(|(name, value)| LiveEnv { name: (*name).to_owned(), value: plain(value) }).collect();
    LiveDeployment {
        uid: "uid-of-the-deployment".to_owned(),
        version: "7".to_owned(),
        generation: 1,
        containers: vec![LiveContainer { name: container.to_owned(), env, env_from: vec![] }],
        ownership: Ownership::default(),
        managed: None,
        delivered: None,
        content: None,
        elsewhere: Default::default(),
        workload_identity: false,
        selector: Default::default(),
        ports: Default::default(),
        rollout: complete(1),
    }
}

pub fn plain(value: &str) -> LiveValue {
    LiveValue::Plain(Sensitive::from(value))
}

/// Every pod runs what this generation says.
pub fn complete(generation: i64) -> Rollout {
    Rollout { observed_generation: generation, replicas: 1, updated: 1, total: 1, available: 1, ..Rollout::default() }
}

/// A Secret that a person made.
pub fn secret(data: &[(&str, &str)]) -> LiveSecret {
    LiveSecret {
        type_: "Opaque".to_owned(),
        ours: false,
        installation: None,
        opted_in: false,
        immutable: false,
        owner: None,
        expires_at: None,
        data: data.iter().map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value))).collect::<BTreeMap<_, _>>(),
    }
}

pub fn condition<'a>(status: &'a CommonStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

/// `Status/Reason` of a condition; empty when there is none.
pub fn verdict(status: &CommonStatus, type_: &str) -> String {
    condition(status, type_).map(|condition| format!("{}/{}", condition.status, condition.reason)).unwrap_or_default()
}

/// A variable that is neither a value nor a key of a Secret.
pub fn other() -> LiveValue {
    LiveValue::Other(serde_json::json!({"fieldRef": {"fieldPath": "metadata.name"}}))
}
