/* A driver to play: NVML's entry points (nvml.h of CUDA 12), as far as nvidia-ml-py calls them here. PLAY names what it plays,
   PLAY_FILE a file whose being there ends a hang, lets memory move or be given back, or loses a card. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>
#include <time.h>

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char busId[32]; } Pci;
typedef struct { unsigned pid; unsigned long long used; unsigned gpuInstance, computeInstance; } Process;
typedef struct { int index, instance; } Card; /* instance -1: the whole GPU */

enum { OK = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15, MISMATCH = 18 };
#define GIB (1ull << 30)
static Card cards[8][8];
static const unsigned buses[8] = {0xc1, 0x01, 0x21, 0x41, 0x61, 0x81, 0xa1, 0xe1}; /* NVML's first is CUDA's seventh */

static int plays(const char *what) { const char *p = getenv("PLAY"); return p && !strcmp(p, what); }
static int file_is_there(void) { const char *p = getenv("PLAY_FILE"); return p && !access(p, F_OK); }
static int lost(const Card *c) { return plays("lost") && c->index == 1 && file_is_there(); }

/* "busy": another figure each second on each card */
static unsigned moving(const Card *c, unsigned least, unsigned most) {
  unsigned x = (unsigned)time(NULL) * 2654435761u + c->index * 40503u;
  return least + ((x >> 12) ^ (x >> 20)) % (most - least);
}
int nvmlInitWithFlags(unsigned flags) { return plays("mismatch") ? MISMATCH : plays("closed") ? NO_PERMISSION : OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int result) { static char text[32]; snprintf(text, sizeof text, "error %d", result); return text; }
int nvmlSystemGetDriverVersion(char *out, unsigned n) { snprintf(out, n, "580.65.06"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = plays("eight") ? 8 : plays("busy") ? 4 : plays("lost") ? 3 : plays("mig") || plays("pair") ? 2 : 1; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, Card **out) {
  *out = &cards[i][0]; (*out)->index = i; (*out)->instance = -1;
  return plays("lost-at-once") || lost(*out) ? LOST : OK;
}
int nvmlDeviceGetName(Card *c, char *out, unsigned n) {
  snprintf(out, n, plays("spark") ? "NVIDIA GB10" : plays("vgpu") ? "GRID A100-10C" : plays("mig") ? "NVIDIA A100-SXM4-40GB%s"
    : "NVIDIA GeForce RTX 3090", c->instance >= 0 ? " MIG 1g.5gb" : "");
  return OK;
}
int nvmlDeviceGetUUID(Card *c, char *out, unsigned n) {
  if (c->instance >= 0) snprintf(out, n, "MIG-%d%d", c->index, c->instance); else snprintf(out, n, "GPU-%d", c->index);
  return OK;
}
int nvmlDeviceGetPciInfo_v3(Card *c, Pci *out) {
  memset(out, 0, sizeof *out); out->bus = buses[c->index];
  snprintf(out->busId, sizeof out->busId, "00000000:%02X:00.0", buses[c->index]);
  return OK;
}
int nvmlDeviceGetMemoryInfo(Card *c, Memory *m) {
  if (plays("spark") || plays("dumb")) return NOT_SUPPORTED;
  if (lost(c) || plays("lost-midway")) return LOST;
  if (plays("hang")) while (!file_is_there()) usleep(1000);
  m->total = c->instance >= 0 ? 5 * GIB : plays("mig") ? 40 * GIB : 24 * GIB;
  m->used = plays("moves") && file_is_there() ? 9 * GIB : plays("leaves") && !file_is_there() ? 23 * GIB : 1 * GIB;
  if (plays("pair") && c->index == 1) m->used = 20 * GIB; /* CUDA's first */
  if (plays("busy")) m->used = moving(c, 9 * 1024, 15 * 1024) * (1ull << 20);
  m->free = m->total - m->used;
  return OK;
}
int nvmlDeviceGetMaxClockInfo(Card *c, int kind, unsigned *mhz) { if (plays("spark") || plays("bare")) return NOT_SUPPORTED; *mhz = 9751; return OK; }
int nvmlDeviceGetMemoryBusWidth(Card *c, unsigned *bits) { if (plays("spark")) return NOT_SUPPORTED; *bits = 384; return OK; }
int nvmlDeviceGetMaxPcieLinkGeneration(Card *c, unsigned *n) { *n = 4; return OK; }
int nvmlDeviceGetMaxPcieLinkWidth(Card *c, unsigned *n) { *n = 16; return OK; }
int nvmlDeviceGetCudaComputeCapability(Card *c, int *major, int *minor) { *major = plays("spark") ? 12 : 8; *minor = plays("spark") ? 1 : 6; return OK; }
int nvmlDeviceGetDisplayActive(Card *c, unsigned *on) { *on = plays("eight") && c->index == 1; return OK; }
int nvmlDeviceGetVirtualizationMode(Card *c, unsigned *mode) { *mode = plays("vgpu") ? 2 : 0; return OK; }
int nvmlDeviceGetComputeRunningProcesses_v3(Card *c, unsigned *n, Process *out) {
  if (plays("hidden")) return NO_PERMISSION;
  unsigned room = *n; *n = 1;
  if (!out || room < 1) return TOO_SMALL;
  const char *holder = getenv("PLAY_HOLDER"); /* its pid; this process where there is none */
  out[0] = (Process){holder ? (unsigned)atoi(holder) : (unsigned)getpid(), plays("leaves") ? 22 * GIB : GIB / 2, 0, 0};
  return OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Card *c, unsigned *n, Process *out) { return nvmlDeviceGetComputeRunningProcesses_v3(c, n, out); }
int nvmlDeviceGetMigMode(Card *c, unsigned *now, unsigned *later) { if (!plays("mig")) return NOT_SUPPORTED; *now = *later = c->index == 0; return OK; }
int nvmlDeviceGetMaxMigDeviceCount(Card *c, unsigned *n) { *n = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Card *c, unsigned i, Card **out) {
  if (i != 1 && i != 4) return NOT_FOUND;
  *out = &cards[c->index][1 + i]; (*out)->index = c->index; (*out)->instance = i;
  return OK;
}
int nvmlDeviceGetUtilizationRates(Card *c, unsigned *rates) { if (!plays("busy")) return NOT_SUPPORTED; rates[0] = rates[1] = moving(c, 0, 101); return OK; }
int nvmlDeviceGetTemperature(Card *c, int sensor, unsigned *t) { if (!plays("busy")) return NOT_SUPPORTED; *t = moving(c, 40, 86); return OK; }
int nvmlDeviceGetPowerUsage(Card *c, unsigned *milliwatt) { if (!plays("busy")) return NOT_SUPPORTED; *milliwatt = moving(c, 60, 350) * 1000; return OK; }
