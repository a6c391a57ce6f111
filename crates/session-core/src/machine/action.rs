//! Actions: everything that the machine has the event loop do.

use etatuki_protocol::{Permissions, ToAgent};

/// An action, the machine's output. Actions are carried out in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start the plugin host and fetch a code, at the same time. Then
    /// [`Event::CodeReady`](super::Event::CodeReady).
    Start,
    /// Make the code invalid: end attempts with it, forget it, delete its nameplate.
    DropCode,
    /// Fetch a fresh code and hand it to the plugin. Then
    /// [`Event::CodeReady`](super::Event::CodeReady).
    MintCode,
    /// Take one attempt with the present code. Then an event that says how it went.
    AcceptAttempt,
    /// Let the agent resume the link from now on, whenever it is interrupted. Then
    /// [`Event::LinkResumed`](super::Event::LinkResumed).
    AcceptResume,
    /// Close the connection of the interrupted link, with everything that waits for it.
    InterruptLink,
    /// Go on with the link that the agent has resumed. Its gate permits nothing yet.
    AdoptLink,
    /// Delete the nameplate at the service, because it has served.
    DeleteNameplate,
    /// Tell the agent what is installed here.
    SendCustomerInfo,
    /// Send this message to the agent.
    SendToAgent(ToAgent),
    /// Permit exactly this: at the gate first, then at the plugin.
    SetPermissions(Permissions),
    /// Drop the agent's input while `true`, because a question is on the screen.
    BlockInput(bool),
    /// Release every key and button that the agent holds down.
    ReleaseInput,
    /// Have the plugin show the accounting program's windows only, in every picture that is
    /// attached from now on.
    RestrictToApp,
    /// Attach the plugin's picture afresh.
    AttachPicture,
    /// Keep what a later launcher needs to resume the link after a restart of the machine, in place
    /// of what was kept before. Then [`Event::RestartKept`](super::Event::RestartKept).
    KeepRestart,
    /// Remove what was kept for a restart.
    ForgetRestart,
    /// End everything, in order and with time-outs. Then
    /// [`Event::ShutdownDone`](super::Event::ShutdownDone).
    Shutdown {
        /// Reason, for the agent's program.
        reason: String,
    },
    /// Drop and kill whatever is left, because the time for the shutdown is over.
    ForceStop,
}
