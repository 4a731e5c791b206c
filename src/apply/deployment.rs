//! Deployments: Secrets first, then one server-side apply that carries the uid.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ObjectReference};
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use crate::{
    api::FIELD_MANAGER,
    compose::{DeploymentPlan, Outcome, live_deployment},
};

use super::{Writer, error::WriteError};

fn deployment_reference(namespace: &str, plan: &DeploymentPlan) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: Some("Deployment".to_owned()),
        name: Some(plan.name.clone()),
        namespace: Some(namespace.to_owned()),
        uid: plan.uid.clone(),
        ..Default::default()
    }
}

impl Writer {
    /// Asks the API server whether it would take a Deployment's apply, without effect.
    ///
    /// # Errors
    /// Its refusal.
    pub async fn try_deployment(&self, namespace: &str, plan: &DeploymentPlan) -> Result<(), WriteError> {
        let Some(patch) = &plan.apply else { return Ok(()) };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply(FIELD_MANAGER).dry_run();
        self.send("try", "deployments", api.patch(&plan.name, &params, &Patch::Apply(patch))).await.map(|_| ())
    }

    /// Brings a Deployment to its plan; an object that is as planned is not touched.
    ///
    /// # Errors
    /// The failed write, for the caller's back-off; [`WriteError::failure`] says what it means.
    pub async fn deployment(&self, namespace: &str, plan: &DeploymentPlan) -> Result<Outcome, WriteError> {
        for secret in &plan.secrets {
            self.ensure_secret(namespace, &plan.name, secret).await?;
        }
        let Some(patch) = &plan.apply else {
            return Ok(Outcome::Done { generation: plan.generation, changed: false, rollout: plan.rollout.clone() });
        };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        // Never forced: what another manager holds is a conflict for a person to see.
        let params = PatchParams::apply(FIELD_MANAGER);
        let after = self.send("patch", "deployments", api.patch(&plan.name, &params, &Patch::Apply(patch))).await?;
        let after = live_deployment(&after);
        let changed = after.generation != plan.generation;
        tracing::info!(namespace, deployment = plan.name, generation = after.generation, changed, "applied");
        self.publish(&deployment_reference(namespace, plan), &plan.events).await;
        Ok(Outcome::Done { generation: after.generation, changed, rollout: after.rollout })
    }
}
