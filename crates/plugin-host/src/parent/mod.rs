//! The parent's handle.
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::{HostError, HostEvents, LoadedPlugin, PluginSpec, ProbeReport};

/// A running plugin host with a plugin loaded.
pub struct PluginHost(());

impl PluginHost {
    /// Spawns `exe plugin-host`, greets it, and has it load the plugin. Two seconds at most.
    pub async fn start(exe: &Path, spec: &PluginSpec) -> Result<(Self, HostEvents), HostError> {
        let _ = (exe, spec);
        todo!()
    }
    /// What the plugin says about itself.
    pub fn descriptor(&self) -> &LoadedPlugin {
        todo!()
    }
    /// The child's process id.
    pub fn pid(&self) -> u32 {
        todo!()
    }
    /// Is the backend usable here?
    pub async fn probe(&self) -> Result<ProbeReport, HostError> {
        todo!()
    }
    /// Opens a session with a code in its plain form.
    pub async fn open(&self, code: &str) -> Result<(), HostError> {
        let _ = code;
        todo!()
    }
    /// Closes the session; the state `closed` follows as an event.
    pub async fn close(&self) -> Result<(), HostError> {
        todo!()
    }
    /// Says what the customer allows now.
    pub async fn permissions(&self, view: bool, control: bool) -> Result<(), HostError> {
        let _ = (view, control);
        todo!()
    }
    /// Hands a socket over, on which the plugin serves RFB.
    pub async fn attach(&self, stream: UnixStream) -> Result<(), HostError> {
        let _ = stream;
        todo!()
    }
    /// Closes, lets the child end, kills what is left of its group. Two seconds at most.
    pub async fn shutdown(self) {
        todo!()
    }
}
