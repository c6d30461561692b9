#include "../data/plugin-abi-1.2.h"

#define PIN_MINOR 2
#define PIN_TASK_SIZE 64
#define PIN_HOST_SIZE 88
#include "abi_frozen.h"
