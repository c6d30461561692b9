/* Another plugin with the same steps, so that a pipeline's workspace goes from one plugin to the other. */
#define STEPPER "walker"
#include "stepper.c"
