//! Status and Events.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api,
    api::{DynamicObject, PartialObjectMeta, Patch, PatchParams},
    runtime::events::{self, Recorder},
};
use serde_json::json;

use crate::{
    api::{API_VERSION, Code, FIELD_MANAGER, Meta},
    compose::{self, EventType, ResourceStatus, events as events_of},
    world::{api_resource, describe},
};

use super::{WRITE_TIMEOUT, Writer, error::WriteError};

impl Writer {
    /// Writes a status, whole; returns the object's resource version then. `None`: the resource is gone by now, and
    /// nothing was written.
    ///
    /// # Errors
    /// The failed write.
    pub async fn status(&self, change: &ResourceStatus) -> Result<Option<String>, WriteError> {
        let meta = &change.meta;
        // Of the answer, only the metadata is of interest.
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::namespaced_with(self.client.clone(), &meta.namespace, &api_resource(meta.kind));
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": meta.kind.name(),
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "status": change.status,
        });
        // The status of our own kinds is ours: forced over what anybody else wrote there.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(patch);
        let write = api.patch_status(&meta.name, &params, &patch);
        match self.send("patch", "status", write).await {
            Ok(written) => Ok(Some(written.metadata.resource_version.unwrap_or_default())),
            Err(error) if error.is_code(404) => {
                tracing::debug!(resource = meta.holder(), namespace = meta.namespace, "gone, no status to write");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the Events that a change of a status is worth.
    pub async fn events(&self, change: &ResourceStatus) {
        self.publish(&resource_reference(&change.meta), &events_of(change)).await;
    }

    /// Warns of a claim that another operator has.
    pub async fn claimed_by_another(&self, claim: &ObjectReference, message: String) {
        let reason = "ClaimedByAnother".to_owned();
        self.publish(claim, &[compose::Event { type_: EventType::Warning, reason, message }]).await;
    }

    /// Warns of what is noted on an object that outlives what it was made for.
    pub(super) async fn tell(&self, about: &ObjectReference, code: Code, note: Option<String>) {
        let event = |message| compose::Event { type_: EventType::Warning, reason: code.to_string(), message };
        self.publish(about, note.map(event).as_slice()).await;
    }

    /// Events are for people; a lost one is logged and changes nothing.
    pub(super) async fn publish(&self, regarding: &ObjectReference, events: &[compose::Event]) {
        let what = || {
            format!(
                "{}/{}",
                regarding.kind.as_deref().unwrap_or_default(),
                regarding.name.as_deref().unwrap_or_default()
            )
        };
        for event in events {
            if !self.leadership.may_write() {
                tracing::warn!(resource = what(), event.reason, "Event not sent: this process does not have the lease");
                break;
            }
            let event = events::Event {
                type_: match event.type_ {
                    EventType::Normal => events::EventType::Normal,
                    EventType::Warning => events::EventType::Warning,
                },
                reason: event.reason.clone(),
                note: Some(note(event.message.clone())),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            // One that lives longer counts a second Event of the same reason as the first one again, and shows
            // the first one's words.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            let sent = tokio::time::timeout(WRITE_TIMEOUT, recorder.publish(&event, regarding)).await;
            let error = match sent {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => describe(&error),
                Err(_) => "no answer within 5 seconds".to_owned(),
            };
            tracing::warn!(resource = what(), namespace = regarding.namespace, event.reason, error, "Event not sent");
        }
    }
}

/// What Events about a resource are about.
pub(super) fn resource_reference(meta: &Meta) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(meta.kind.name().to_owned()),
        name: Some(meta.name.clone()),
        namespace: Some(meta.namespace.clone()),
        uid: Some(meta.uid.clone()),
        ..Default::default()
    }
}

/// Events take 1,024 bytes, where a condition takes as many characters.
fn note(mut message: String) -> String {
    const LONGEST: usize = 1024;
    while message.len() > LONGEST {
        message.pop();
    }
    message
}
