//! The picture path between a hostile tool and a hostile agent: whatever they send, a client that
//! reads the output has the framebuffer's picture in the end.

use etatuki_picture::{Framebuffer, MAX_UPDATE_PIXELS, Updater};
use etatuki_rfb::{
    ClientMessage, ClientParser, Limits, PixelFormat, Rect, ServerMessage, ServerParser,
};
use etatuki_testkit::RfbClient;
use std::time::Duration;

const SIZE: (u16, u16) = (40, 36);

/// Reads records: a byte that says who speaks (and whether the link is idle afterwards), a byte
/// with the length, and as many bytes of that side's stream.
pub(crate) fn picture(mut input: &[u8]) {
    let mut world = World::new();
    while let Some(([head, length], rest)) = input.split_first_chunk::<2>() {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        let goes_on = if head & 1 == 0 {
            world.tool_says(bytes)
        } else {
            world.agent_says(bytes)
        };
        if head & 2 == 0 {
            world.next();
        }
        if head & 4 == 0 {
            world.answer_fences();
        }
        if !goes_on {
            break;
        }
    }
    world.ends();
}

struct World {
    tool: ServerParser,
    agent: ClientParser,
    framebuffer: Framebuffer,
    updater: Updater,
    now: Duration,
    client: RfbClient,
    resizes: bool,
}

impl World {
    fn new() -> Self {
        let (width, height) = SIZE;
        let limits = Limits {
            max_pixels: 1 << 14,
            ..Limits::default()
        };
        Self {
            tool: ServerParser::new(limits, PixelFormat::BGRX, width, height),
            agent: ClientParser::new(limits),
            framebuffer: Framebuffer::new(width, height),
            updater: Updater::new(width, height),
            now: Duration::ZERO,
            client: RfbClient::new(width, height),
            resizes: false,
        }
    }

    /// Applies the tool's bytes. Returns false when the tool broke the protocol: the session would
    /// end.
    fn tool_says(&mut self, bytes: &[u8]) -> bool {
        self.tool.push(bytes);
        loop {
            match self.tool.next() {
                Ok(Some(ServerMessage::Rectangle(rectangle))) => {
                    let applied = self.framebuffer.apply(&rectangle);
                    applied.expect("the parser lets only through what fits");
                }
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn agent_says(&mut self, bytes: &[u8]) -> bool {
        self.agent.push(bytes);
        loop {
            match self.agent.next() {
                Ok(Some(message)) => {
                    if !self.agent_wants(message) {
                        return false;
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn agent_wants(&mut self, message: ClientMessage) -> bool {
        match message {
            ClientMessage::SetEncodings(encodings) => {
                self.updater.set_encodings(&encodings);
                self.resizes = encodings.contains(&-223) || encodings.contains(&-308);
            }
            ClientMessage::UpdateRequest { incremental, rect } => {
                self.updater.request(incremental, rect);
            }
            ClientMessage::EnableContinuousUpdates { enable, rect } => {
                self.updater.enable_continuous_updates(enable, rect);
            }
            ClientMessage::Fence { flags, payload } => {
                return self.updater.on_fence(flags, &payload, self.now).is_ok();
            }
            ClientMessage::SetDesktopSize { width, .. } => {
                return self.updater.answer_set_desktop_size(width % 4).is_ok();
            }
            ClientMessage::Key { .. } => self.updater.on_input(&self.framebuffer),
            _ => {}
        }
        true
    }

    fn next(&mut self) {
        if let Some(chunk) = self.updater.next_chunk(&mut self.framebuffer, self.now) {
            assert!(chunk.len() <= MAX_UPDATE_PIXELS + 65_536);
            self.client.receive(&chunk, 1 << 16);
            // A link that takes a second for each chunk, whatever its size.
            self.updater.on_written(chunk.len(), None, self.now);
            self.now += Duration::from_secs(1);
        }
    }

    fn answer_fences(&mut self) {
        for (flags, payload) in std::mem::take(&mut self.client.fence_requests) {
            let answered = self.updater.on_fence(flags, &payload, self.now);
            answered.expect("an answer never is too much");
        }
    }

    fn ends(mut self) {
        self.updater
            .enable_continuous_updates(false, Rect::default());
        self.client
            .catch_up(&mut self.updater, &mut self.framebuffer, 1 << 16);
        assert!(self.client.agrees_with(&self.framebuffer));
        assert!(!self.client.mixed_update);
        if self.resizes {
            assert_eq!(self.client.bounds(), self.framebuffer.bounds());
        }
    }
}
