#include "../data/plugin-abi-1.0.h"

#define PIN_MINOR 0
#define PIN_TASK_SIZE 56
#define PIN_HOST_SIZE 72
#include "abi_frozen.h"
