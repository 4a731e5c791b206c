//! The record of the access policies by which a namespace's Timbr is guarded: a Secret without data.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use crate::{
    api::{ANNOTATION_GUARDS, ANNOTATION_NOTE, Code, FIELD_MANAGER, GUARDS_SECRET, LABEL_MANAGED_BY},
    compose::{GuardsStep, LiveGuards, live_guards},
};

use super::{
    Writer,
    error::{WriteError, overtaken},
};

impl Writer {
    /// Sends a request about the record; returns what is there then.
    ///
    /// # Errors
    /// The failed write.
    pub async fn guards(&self, namespace: &str, step: &GuardsStep) -> Result<Option<LiveGuards>, WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let (guards, note, version) = match step {
            GuardsStep::Write { guards, note, version } => (guards.write(), note, version),
            GuardsStep::Delete { version } => {
                let preconditions = Preconditions { resource_version: Some(version.clone()), uid: None };
                return self.delete_exactly(&api, "secrets", GUARDS_SECRET, preconditions).await.map(|()| None);
            }
        };
        let mut annotations = json!({ANNOTATION_GUARDS: guards});
        let field_manager = Some(FIELD_MANAGER.to_owned());
        let secret = |annotations, version: Option<&String>| {
            json!({"metadata": {
                "name": GUARDS_SECRET,
                "resourceVersion": version,
                "labels": {LABEL_MANAGED_BY: FIELD_MANAGER},
                "annotations": annotations,
            }})
        };
        let written = match version {
            // What is there by now is looked at first.
            None => {
                note.iter().for_each(|note| annotations[ANNOTATION_NOTE] = note.as_str().into());
                let secret = serde_json::from_value(secret(annotations, None))
                    .map_err(|error| WriteError::Unsendable(error.to_string()))?;
                let params = PostParams { field_manager, ..Default::default() };
                self.send("create", "secrets", api.create(&params, &secret)).await
            }
            // A note that is none any more is taken off by a null.
            version => {
                annotations[ANNOTATION_NOTE] = note.as_deref().into();
                let patch = Patch::Merge(secret(annotations, version.as_ref()));
                let params = PatchParams { field_manager, ..Default::default() };
                self.send("patch", "secrets", api.patch(GUARDS_SECRET, &params, &patch)).await
            }
        };
        let written = written.map_err(overtaken)?;
        tracing::info!(namespace, secret = GUARDS_SECRET, guards, note, "written");
        self.tell(&written.object_ref(&()), Code::PolicyRemoved, note.clone()).await;
        Ok(Some(live_guards(&written.metadata)))
    }
}
