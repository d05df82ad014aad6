// What states, blindness, classes and parts of kernels mean, in words. Longer: docs/runbook.md.
export const STATES = ["confirmed", "suspect", "watching", "abstain", "clear"];

export const STATE_WORDS = {
  confirmed: "evidence as at most one honest job in 1,000 ever shows",
  suspect: "evidence as at most one honest job in 100 ever shows",
  watching: "some evidence: one honest job in 10 may show as much at some time",
  abstain: "nothing can be said",
  clear: "samples, and no evidence of mining; no proof of innocence",
};

export const rank = (state) => (STATES.indexOf(state) + 1 || STATES.length + 1);

export const BLIND = {
  stale: ["No samples come of a job that is on a GPU.", "Is a source down, does the GPU answer? A quiet GPU is not an idle one."],
  "dead-counters": ["Counters stand still or say what cannot be, or too few channels are left.",
    "Restart what exports them; a job that is blind so every minute, while others are not, is worth a look."],
  "self-test": ["The known answers did not come out: nothing that this agent says counts.",
    "hashwarden agent --check; if it fails twice, install hashwarden again and restart."],
  model: ["A verdict is not of the model in service, or the model gave no finite score.", "Restart after a promotion, or roll the model back."],
  shared: ["Others use the GPU, and nothing says whose work its counters count.",
    "With the sources launches and code a job can be judged by its own kernels."],
  "source-down": ["A source that was asked for does not answer.", "Mend the source: its words stand beside it."],
  unmapped: ["Work on a GPU of nobody known.", "Is the provider of jobs configured? A process that left its job is worth a look by a person."],
  clock: ["The wall clock jumped: times of the ladder cannot be trusted.", "It is over after a steady minute."],
  storage: ["What is decided cannot be written down, so nothing is done.", "Make room, or mend the disk; the agent goes on by itself."],
  code: ["Less than half of what a job launches could be told from its machine code; counters go on.",
    "Hiding code is no proof; a job that does it while others of its kind do not is worth a look."],
  launches: ["A process has other code where launches are traced: what it launches is not known; counters go on.",
    "A tool that hooks the driver does this, and so does one who hides: ask whose code it is."],
  uncalibrated: ["The model has no calibrated evidence for what is seen.", "Record and calibrate on your own work."],
};

export const GROUPS = [
  ["nvml", "Plain NVML", "without privilege, on every GPU"],
  ["gpm", "GPM or DCGM profiling", "Hopper and newer, or dcgm-exporter"],
  ["pm", "PM sampling", "bursts at kHz"],
  ["launch", "Launches", "of the job's own processes"],
  ["code", "Machine code", "the kernel model on what was launched"],
  ["probe", "Probes", "our own kernels on the same GPU"],
];

export const MIX = [
  ["logic", "Logic and shifts", "LOP3, SHF, PRMT: most of what hashes are made of"],
  ["integer", "Integer arithmetic", "IADD, IMAD, LEA, dot products"],
  ["float", "Floating point", "FFMA, half, double, special functions"],
  ["hmma", "Tensor, floating point", "HMMA"],
  ["imma", "Tensor, integer", "IMMA"],
  ["memory", "Memory", "loads, stores, atomics, copies, textures"],
  ["other", "Other", "control, moves, barriers"],
];

export const STEPS = { warn1: "First warning of the owner", warn2: "Second warning of the owner", throttle: "Lower the power limit", act: "The act" };
export const STEP_STATES = { due: "due", asked: "asked for, no answer yet", done: "done", refused: "refused", again: "expired, to be asked for again" };
export const CLOSED = { ended: "the job ended", clear: "no evidence for long enough", rejected: "rejected by a person", exempt: "exempt by the policy", lost: "the job was lost from sight" };
