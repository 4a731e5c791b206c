//! Secrets that carry sensitive values: immutable, named by their content, owned by the Deployment; and
//! those that charts name, which are written over and owned by nobody.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use crate::{
    api::FIELD_MANAGER,
    compose::{Leftover, LiveSecret, OurSecret, SecretPlan, live_secret},
};

use super::{
    Writer,
    error::{WriteError, overtaken},
};

impl Writer {
    /// Makes sure that a planned Secret is there, with this content and this owner. A Secret of that
    /// name is never trusted by its name.
    pub(super) async fn ensure_secret(
        &self,
        namespace: &str,
        deployment: &str,
        plan: &SecretPlan,
    ) -> Result<(), WriteError> {
        if plan.present {
            return Ok(());
        }
        if plan.stable {
            return self.write_stable(namespace, plan, false).await;
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = manifest(deployment, plan);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        match self.send("create", "secrets", api.create(&params, &secret)).await {
            Ok(_) => {
                tracing::info!(namespace, secret = plan.name, deployment, "created the Secret");
                Ok(())
            }
            Err(error) if error.is_code(409) => self.verify(&api, deployment, plan).await,
            Err(error) => Err(error),
        }
    }

    /// Asks the API server whether it would take a planned Secret, without effect.
    pub(super) async fn try_secret(
        &self,
        namespace: &str,
        deployment: &str,
        plan: &SecretPlan,
    ) -> Result<(), WriteError> {
        if plan.present {
            return Ok(());
        }
        if plan.stable {
            return self.write_stable(namespace, plan, true).await;
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: true };
        match self.send("try", "secrets", api.create(&params, &manifest(deployment, plan))).await {
            Err(error) if !error.is_code(409) => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes a Secret, if it is still the one that was looked at, in that version; whether it is gone then. One that
    /// was changed meanwhile stays, and is no failure.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn delete_secret(
        &self,
        namespace: &str,
        secret: &OurSecret,
        version: Option<String>,
    ) -> Result<bool, WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams::default()
            .preconditions(Preconditions { uid: Some(secret.uid.clone()), resource_version: version });
        match self.send("delete", "secrets", api.delete(&secret.name, &params)).await {
            Ok(_) => tracing::info!(namespace, secret = secret.name, "deleted the Secret: nothing needs it any more"),
            Err(error) if error.is_code(404) => {}
            Err(error) if error.is_code(409) => {
                tracing::info!(namespace, secret = secret.name, "the Secret was changed meanwhile, and stays");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Makes a Secret that charts name, or writes it over what the plan saw there.
    async fn write_stable(&self, namespace: &str, plan: &SecretPlan, dry_run: bool) -> Result<(), WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let field_manager = Some(FIELD_MANAGER.to_owned());
        let verb = |verb| if dry_run { "try" } else { verb };
        let Some(seen) = &plan.replaces else {
            let params = PostParams { field_manager, dry_run };
            // What is there by now is looked at first.
            let created = self.send(verb("create"), "secrets", api.create(&params, &manifest("", plan))).await;
            return match created {
                Err(error) if error.is_code(409) => Err(WriteError::Overtaken),
                created => created.map(|_| ()),
            };
        };
        let version = self.unchanged(&api, &plan.name, seen).await?;
        let patch = json!({
            "metadata": {"resourceVersion": version, "labels": plan.labels},
            "data": changes(plan, seen),
        });
        let params = PatchParams { field_manager, dry_run, ..Default::default() };
        let written = self.send(verb("patch"), "secrets", api.patch(&plan.name, &params, &Patch::Merge(patch))).await;
        written.map_err(overtaken).map(|_| ())
    }

    /// Does what is left to do about a Secret that charts name and no Deployment needs.
    ///
    /// # Errors
    /// The failed write.
    pub async fn leftover(&self, namespace: &str, leftover: &Leftover) -> Result<(), WriteError> {
        let (name, seen) = match leftover {
            Leftover::Empty(plan) => return self.write_stable(namespace, plan, false).await,
            Leftover::Delete { name, seen } => (name, seen),
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let version = self.unchanged(&api, name, seen).await?;
        let preconditions = Preconditions { resource_version: Some(version), uid: None };
        self.delete_exactly(&api, "secrets", name, preconditions).await?;
        tracing::info!(namespace, secret = name, "deleted the Secret: no Deployment names it any more");
        Ok(())
    }

    /// The version of a Secret that is as it was seen, and so ours.
    async fn unchanged(&self, api: &Api<Secret>, name: &str, seen: &LiveSecret) -> Result<String, WriteError> {
        let found = match self.send("get", "secrets", api.get(name)).await {
            Err(error) if error.is_code(404) => return Err(WriteError::Overtaken),
            found => found?,
        };
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        if live_secret(found) == *seen { Ok(version) } else { Err(WriteError::Overtaken) }
    }

    /// A Secret of that name is there: it is ours, or it is in the way.
    async fn verify(&self, api: &Api<Secret>, deployment: &str, plan: &SecretPlan) -> Result<(), WriteError> {
        let found = self.send("get", "secrets", api.get(&plan.name)).await?;
        let version = found.metadata.resource_version.clone();
        let live = live_secret(found);
        if !plan.is(&live) {
            return Err(WriteError::NotOurs(format!(
                "Secret {} is in the way: it has the name of a Secret of this operator, but other content or labels, or is not immutable; delete it",
                plan.name
            )));
        }
        if live.owner == plan.owner {
            return Ok(());
        }
        // The Deployment was deleted and made anew, and its Secret has not been collected yet.
        let patch = json!({"metadata": {
            "resourceVersion": version,
            "ownerReferences": owner_references(deployment, plan),
        }});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        self.send("patch", "secrets", api.patch(&plan.name, &params, &Patch::Merge(patch))).await.map(|_| ())
    }
}

/// What changes of a Secret's data, as a merge patch: a null takes a key away.
fn changes(plan: &SecretPlan, seen: &LiveSecret) -> BTreeMap<String, Option<ByteString>> {
    let gone = seen.data.keys().filter(|key| !plan.data.contains_key(*key)).map(|key| (key.clone(), None));
    let data = data(plan)
        .into_iter()
        .filter(|(key, value)| seen.data.get(key).is_none_or(|there| there.expose() != value.0.as_slice()));
    gone.chain(data.map(|(key, value)| (key, Some(value)))).collect()
}

fn data(plan: &SecretPlan) -> BTreeMap<String, ByteString> {
    let data = plan.live().data.into_iter();
    data.map(|(name, value)| (name, ByteString(value.expose().to_vec()))).collect()
}

fn owner_references(deployment: &str, plan: &SecretPlan) -> Vec<OwnerReference> {
    // Neither controller nor blockOwnerDeletion: nothing of a Deployment's deletion waits for us.
    let reference = |uid: &String| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: deployment.to_owned(),
        uid: uid.clone(),
        ..Default::default()
    };
    plan.owner.iter().map(reference).collect()
}

fn manifest(deployment: &str, plan: &SecretPlan) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(plan.name.clone()),
            labels: Some(plan.labels.clone()),
            owner_references: Some(owner_references(deployment, plan)).filter(|owners| !owners.is_empty()),
            ..Default::default()
        },
        type_: Some("Opaque".to_owned()),
        immutable: (!plan.stable).then_some(true),
        data: Some(data(plan)),
        ..Default::default()
    }
}
