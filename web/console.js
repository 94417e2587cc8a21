// The console of one session: waits until its desktop is ready, trades the login for a ticket, shows the screen, and comes back by
// itself, with a new ticket, whenever the connection breaks. It ends when the session does, or when it is closed.
import RFB from "./novnc/core/rfb.js";
import { ask, Refusal } from "./api.js";

const READY_POLL_MS = 700;
const LOOK_MS = 20000;
const PAUSES_MS = [300, 1000, 2000, 4000, 8000];
const LATER = [409, 429, 503, 504]; // answers that may be another one soon

export class Console {
  // told({ phase, session, text, code, error }) with phase: waiting, reaching, connected, lost, unreachable, ended, refused
  constructor(screen, id, told, clipboard) {
    Object.assign(this, { screen, id, told, clipboard, fit: true, rfb: null, open: true, tries: 0, wake: () => {} });
  }

  async run() {
    this.told({ phase: "reaching" });
    while (this.open) {
      try {
        await this.once();
      } catch (error) {
        await this.failed(error);
      }
    }
  }

  async once() {
    const session = await ask("GET", `/sessions/${encodeURIComponent(this.id)}`);
    if (!this.open) return;
    if (session.state === "ended") return this.finish({ phase: "ended", session });
    if (!session.ready) {
      this.told({ phase: "waiting", session });
      await this.pause(READY_POLL_MS);
      return;
    }
    const { ticket } = await ask("POST", `/sessions/${encodeURIComponent(this.id)}/ticket`, { protocol: "vnc", origin: location.origin });
    if (!this.open) return;
    this.told({ phase: "reaching", session });
    const code = await this.show(session, ticket);
    if (!this.open) return;
    this.told({ phase: "lost", session, code });
    await this.pauseMore();
  }

  async failed(error) {
    if (!this.open) return;
    if (error instanceof Refusal && !LATER.includes(error.status)) {
      this.finish({ phase: "refused", error });
    } else {
      this.told(error instanceof Refusal ? { phase: "lost", error } : { phase: "unreachable" });
      await this.pauseMore();
    }
  }

  // Shows the screen until the connection ends; the WebSocket's close code.
  show(session, ticket) {
    return new Promise((done) => {
      const channel = new WebSocket(`wss://${location.host}/console`, ["binary", `ticket.${ticket}`]);
      let code = 1006;
      channel.addEventListener("close", (event) => { code = event.code; });
      this.rfb = new RFB(this.screen, channel);
      this.rfb.scaleViewport = this.fit;
      this.rfb.background = "transparent";
      let look = 0;
      this.rfb.addEventListener("connect", () => {
        this.tries = 0;
        this.told({ phase: "connected", session });
        look = setInterval(() => this.look(), LOOK_MS);
        this.look();
      });
      this.rfb.addEventListener("clipboard", (event) => this.clipboard(event.detail.text));
      this.rfb.addEventListener("disconnect", () => {
        this.rfb = null;
        clearInterval(look);
        done(code);
      });
    });
  }

  // What became of the session while its screen is shown: it may be about to end.
  async look() {
    const session = await ask("GET", `/sessions/${encodeURIComponent(this.id)}`).catch(() => null);
    if (session && this.open && this.rfb) this.told({ phase: "connected", session, again: true });
  }

  finish(news) {
    this.open = false;
    this.told(news);
  }

  close() {
    this.open = false;
    this.rfb?.disconnect();
    this.wake();
  }

  pauseMore() {
    return this.pause(PAUSES_MS[Math.min(this.tries++, PAUSES_MS.length - 1)]);
  }

  // Until that time has gone by, or wake() is called.
  pause(time_ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, time_ms);
      this.wake = () => { clearTimeout(timer); done(); };
    });
  }

  setFit(fit) {
    this.fit = fit;
    if (this.rfb) this.rfb.scaleViewport = fit;
  }
}
