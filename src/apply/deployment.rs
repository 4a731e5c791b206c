//! Deployments: Secrets first, then the next request of the plan. Each carries the uid, or tests it; and none has
//! an effect on a Deployment that is another by the time it arrives, however late that is.

use json_patch::{PatchOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ObjectReference};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::Value as Json;

use crate::{
    api::{FIELD_MANAGER, TRANSIENT_MANAGER},
    compose::{DeploymentPlan, LiveDeployment, Step, live_deployment},
};

use super::{Writer, error::WriteError, status::resource_reference};

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

/// A request about a Deployment.
struct Request {
    params: PatchParams,
    patch: Patch<Json>,
}

impl Request {
    /// The plan's next one. Never forced: what another manager holds is a conflict for a person to see.
    fn next(plan: &DeploymentPlan) -> Result<Option<Self>, WriteError> {
        let apply = |json: &Json| Self { params: PatchParams::apply(FIELD_MANAGER), patch: Patch::Apply(json.clone()) };
        Ok(match (&plan.next, &plan.apply) {
            (None, _) | (Some(Step::Apply), None) => None,
            (Some(Step::Apply), Some(json)) | (Some(Step::Record(json)), _) => Some(apply(json)),
            (Some(Step::Rewrite { patch, .. } | Step::HandOver { patch, .. }), _) => {
                let params = PatchParams { field_manager: Some(TRANSIENT_MANAGER.to_owned()), ..Default::default() };
                Some(Self { params, patch: Patch::Json(json_patch(patch)?) })
            }
        })
    }

    /// The same, good for the Deployment that the plan was made for, and refused by what it has become since: one that
    /// comes late, when its variables were given back to others, would find what it tests all the same.
    fn for_now(mut self, plan: &DeploymentPlan) -> Self {
        match &mut self.patch {
            Patch::Apply(json) => json["metadata"]["resourceVersion"] = plan.version.as_deref().into(),
            Patch::Json(json_patch::Patch(steps)) => {
                let path = PointerBuf::from_tokens(["metadata", "generation"]);
                steps.insert(0, PatchOperation::Test(TestOperation { path, value: plan.generation.into() }));
            }
            // The plan has no others.
            _ => {}
        }
        self
    }
}

/// The plan's JSON Patch as kube wants it.
fn json_patch(patch: &Json) -> Result<json_patch::Patch, WriteError> {
    serde_json::from_value(patch.clone()).map_err(|error| WriteError::Unsendable(error.to_string()))
}

impl Writer {
    /// Asks the API server whether it would take what a Deployment's next request needs and the request
    /// itself, without effect.
    ///
    /// # Errors
    /// Its refusal.
    pub async fn try_deployment(&self, namespace: &str, plan: &DeploymentPlan) -> Result<(), WriteError> {
        let Some(Request { params, patch }) = Request::next(plan)? else { return Ok(()) };
        for secret in &plan.secrets {
            self.try_secret(namespace, &plan.name, secret).await?;
        }
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let tried = self.send("try", "deployments", api.patch(&plan.name, &params.dry_run(), &patch)).await;
        tried.map(|_| ()).map_err(|error| error.of_deployment(&patch))
    }

    /// Makes a Deployment's Secrets and sends its next request; returns what the Deployment is then, or
    /// `None` when there was nothing to send.
    ///
    /// # Errors
    /// The failed write, for the caller's back-off; [`WriteError::failure`] says what it means.
    pub async fn deployment(
        &self,
        namespace: &str,
        plan: &DeploymentPlan,
    ) -> Result<Option<LiveDeployment>, WriteError> {
        for secret in &plan.secrets {
            self.ensure_secret(namespace, &plan.name, secret).await?;
        }
        let Some(request) = Request::next(plan)? else { return Ok(None) };
        let Request { params, patch } = request.for_now(plan);
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let after = self.send("patch", "deployments", api.patch(&plan.name, &params, &patch)).await;
        let after = live_deployment(&after.map_err(|error| error.of_deployment(&patch))?);
        let step = plan.next.as_ref().map(Step::name);
        tracing::info!(namespace, deployment = plan.name, generation = after.generation, step, "written");
        let reference = deployment_reference(namespace, plan);
        for (meta, event) in plan.events() {
            let about = meta.map_or_else(|| reference.clone(), resource_reference);
            self.publish(&about, &[event]).await;
        }
        Ok(Some(after))
    }
}
