//! Secrets that carry sensitive values: immutable, named by their content, owned by the Deployment.

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
    compose::{OurSecret, SecretPlan, Value, live_secret},
};

use super::{Writer, error::WriteError};

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
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: true };
        match self.send("try", "secrets", api.create(&params, &manifest(deployment, plan))).await {
            Err(error) if !error.is_code(409) => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes a Secret, if it is still the one that was looked at, in that version. One that is gone, or was changed
    /// meanwhile, is no failure: whoever did that woke us.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn delete_secret(
        &self,
        namespace: &str,
        secret: &OurSecret,
        version: Option<String>,
    ) -> Result<(), WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams::default()
            .preconditions(Preconditions { uid: Some(secret.uid.clone()), resource_version: version });
        match self.send("delete", "secrets", api.delete(&secret.name, &params)).await {
            Ok(_) => tracing::info!(namespace, secret = secret.name, "deleted the Secret: nothing needs it any more"),
            Err(error) if error.is_code(404) => {}
            Err(error) if error.is_code(409) => {
                tracing::info!(namespace, secret = secret.name, "the Secret was changed meanwhile, and stays");
            }
            Err(error) => return Err(error),
        }
        Ok(())
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
    let bytes = |value: &Value| match value {
        Value::Sensitive(value) => Some(ByteString(value.expose().to_vec())),
        Value::Plain(_) | Value::Placeholder(_) => None,
    };
    let data: BTreeMap<String, ByteString> =
        plan.data.iter().filter_map(|(name, value)| Some((name.clone(), bytes(value)?))).collect();
    Secret {
        metadata: ObjectMeta {
            name: Some(plan.name.clone()),
            labels: Some(plan.labels.clone()),
            owner_references: Some(owner_references(deployment, plan)),
            ..Default::default()
        },
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: Some(data),
        ..Default::default()
    }
}
