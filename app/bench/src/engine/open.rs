//! The open loop: requests are sent when they are due, whether or not earlier ones were answered.
//!
//! Here is the sending; when something is due is known by [`Schedule`], what counts by the recorder.

use anyhow::Result;
use rustix::event::Timespec;
use zabra_proto::Xid;

use super::{Engine, Job, TURN, on_reply};
use crate::link::{Link, Nanos};
use crate::recorder::Recorder;
use crate::request::{self, Template};
use crate::schedule::Schedule;
use crate::source::Source;

/// What one thread sends and when, and how much of it is under way.
struct Loop<'a> {
    templates: &'a [Template],
    sources: &'a mut [Source],
    schedule: Schedule,
    recorder: &'a mut Recorder,
    /// Requests that a session may have outstanding.
    depth: usize,
    outstanding: usize,
}

impl Engine {
    /// Sends what is due until the recorder ends it, with at most `depth` requests of each session outstanding, and waits for
    /// the last reply. What was due and never sent is told to the recorder.
    pub(crate) fn run_open(
        &mut self,
        job: &mut Job,
        schedule: Schedule,
        depth: u32,
        recorder: &mut Recorder,
    ) -> Result<()> {
        let mut run = Loop {
            templates: &job.templates,
            sources: &mut job.sources,
            schedule,
            recorder,
            depth: depth as usize,
            outstanding: 0,
        };
        let first = self.links.first().map_or(0, |link| link.index);
        let timeout = self.links.iter().map(|link| link.timeout).min();
        let idle = timeout.unwrap_or_default() / 3;
        let mut next_ping = self.clock.now().after(idle);
        while run.recorder.wants_more() {
            let now = self.clock.now();
            if run.outstanding == 0 {
                // Nothing is owed to us.
                self.last_heard = now;
            }
            self.send_due(&mut run, now)?;
            if now >= next_ping {
                self.keep_alive(&mut run, now)?;
                next_ping = now.after(idle);
            }
            let longest = self.until_due(&run)?;
            self.turn_within(longest, &mut |link, frame, now| {
                run.on_frame(link, first, frame, now)
            })?;
            run.recorder.on_time(self.clock.now())?;
        }
        // What came due during the last turn.
        self.send_due(&mut run, self.clock.now())?;
        run.recorder.on_unsent(&run.schedule);
        while run.outstanding > 0 {
            self.turn(&mut |link, frame, now| run.on_frame(link, first, frame, now))?;
        }
        Ok(())
    }

    fn send_due(&mut self, run: &mut Loop<'_>, now: Nanos) -> Result<()> {
        let mut sent = Vec::new();
        loop {
            let due = run.schedule.next_due();
            if due > now {
                break;
            }
            run.recorder.on_due(due);
            let position = run.schedule.arrive();
            if run.send(&mut self.links[position], position, now) {
                sent.push(position);
            }
        }
        sent.into_iter()
            .try_for_each(|position| self.flush(position))
    }

    /// Sends a ping in each session that has nothing outstanding: at a low rate some are not used for longer than servers
    /// wait.
    fn keep_alive(&mut self, run: &mut Loop<'_>, now: Nanos) -> Result<()> {
        let ping = Template::ping();
        for position in 0..self.links.len() {
            let link = &mut self.links[position];
            if link.pending.is_empty() {
                link.send(&ping, KEEP_ALIVE, 0, now, now);
                run.outstanding += 1;
                self.flush(position)?;
            }
        }
        Ok(())
    }

    /// How long the next turn may wait, with the alarm set for the next request that could be sent.
    fn until_due(&self, run: &Loop<'_>) -> Result<&'static Timespec> {
        if run.outstanding >= run.depth * self.links.len() {
            // Only a reply makes room, and what is due until then waits anyhow.
            return Ok(&TURN);
        }
        let ahead = run.schedule.next_due().since(self.clock.now());
        if ahead.is_zero() {
            return Ok(&AT_ONCE);
        }
        self.set_alarm(ahead)?;
        Ok(&TURN)
    }
}

impl Loop<'_> {
    /// Sends the oldest request that waits for this session, if one does and there is room.
    #[inline]
    fn send(&mut self, link: &mut Link, position: usize, now: Nanos) -> bool {
        if link.pending.len() < self.depth
            && let Some(due) = self.schedule.take(position)
            && let Some((number, key)) = self.sources[position].next()
        {
            let template = &self.templates[usize::from(number)];
            link.send(template, number, key, due, now);
            self.outstanding += 1;
            return true;
        }
        false
    }

    fn on_frame(&mut self, link: &mut Link, first: usize, frame: &[u8], now: Nanos) -> Result<()> {
        let header = request::reply_header(frame)?;
        if header.xid == Xid::NOTIFICATION {
            return Ok(());
        }
        let request = on_reply(link, self.templates, &header, frame)?;
        self.outstanding -= 1;
        if request.template != KEEP_ALIVE {
            self.recorder.record(&request, now)?;
        }
        if self.recorder.wants_more() {
            let position = link.index - first;
            self.send(link, position, now);
        }
        Ok(())
    }
}

/// The template of pings that keep a session alive: none of the job's.
const KEEP_ALIVE: u8 = u8::MAX;
/// A turn that does not wait.
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
