import { describeDropIn } from './support/drop-in-suite.ts';

describeDropIn('2.8');
